// The API reference. With a token it also shows the custom fields of the token's account.
"use strict";

const form = document.querySelector("#token-form");
const input = form.querySelector("input");
const message = form.querySelector("output");

/** Returns the token in pasted text, such as an Authorization header or the line that `contacts dev` prints. */
function extractToken(pasted) {
  // A JWT begins with `{"` in base64url. Other text is used as it is: the service says what is wrong.
  return pasted.match(/\beyJ[\w-]*\.[\w-]+\.[\w-]+/)?.[0] ?? pasted.trim();
}

/** Takes the token out of the page's address, where `contacts dev` puts it. Returns an empty text if there is none. */
function takeTokenFromAddress() {
  const token = location.hash.match(/^#token=(.+)$/)?.[1];
  if (!token) {
    return "";
  }
  // Otherwise it would stay in the history and in copied links.
  history.replaceState(null, "", location.pathname + location.search);
  return decodeURIComponent(token);
}

/** Fetches the document for a token, or the public document for an empty text. Throws the reason if it cannot. */
async function fetchDocument(token) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const response = await fetch("openapi.json", { headers });
  const body = await response.json();
  if (!response.ok) {
    throw new Error(body.message);
  }
  return body;
}

function configuration(content, token) {
  return {
    content,
    authentication: { preferredSecurityScheme: "bearer", securitySchemes: { bearer: { token } } },
    // The token is lost when the page is closed. It is not written to the browser's storage.
    persistAuth: false,
    // A 401 of the token endpoint would make the browser ask for a name and a password.
    customFetch: (input, init) => fetch(input, { ...init, credentials: "omit" }),
    // Nothing is fetched from or sent to other hosts.
    withDefaultFonts: false,
    telemetry: false,
    agent: { disabled: true },
    mcp: { disabled: true },
    hideClientButton: true,
    showDeveloperTools: "never",
    // The operations have samples of their own.
    hiddenClients: true,
    documentDownloadType: "json",
    defaultRequestBodyView: "raw",
    expandAllParameters: false,
    // Custom fields come last: none are hidden behind a button.
    maxVisibleRequestBodyProperties: 0,
  };
}

/** The displayed reference. */
let reference = null;

function display(content, token) {
  if (reference) {
    reference.updateConfiguration(configuration(content, token));
  } else {
    reference = Scalar.createApiReference("#reference", configuration(content, token));
  }
}

/** Displays the document for a token. If the token is rejected, says why and displays the public document. */
async function useToken(token) {
  try {
    display(await fetchDocument(token), token);
    message.value = token ? "The page shows your account's fields, and forgets the token when it is reloaded" : message.defaultValue;
    form.classList.remove("rejected");
  } catch (error) {
    message.value = error.message;
    form.classList.add("rejected");
    if (!reference && token) {
      display(await fetchDocument(""), "");
    }
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  input.value = extractToken(input.value);
  useToken(input.value);
});

/** Uses the token in the page's address. Returns whether there is one. */
function useTokenOfAddress() {
  const token = takeTokenFromAddress();
  if (token) {
    input.value = token;
    useToken(token);
  }
  return token !== "";
}

// The link of `contacts dev` can be opened in a tab that already shows the page.
addEventListener("hashchange", useTokenOfAddress);
if (!useTokenOfAddress()) {
  useToken("");
}
