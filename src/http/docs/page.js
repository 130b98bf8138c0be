// The API reference. With a token it also shows the custom fields of the token's account.
"use strict";

const DOCUMENT = "openapi.json";

/**
 * Fetches and displays the document for a token, or the public document for null. If the token is rejected, the displayed
 * document stays; the first call with the token reports the reason.
 */
async function loadDocument(system, token) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const response = await fetch(DOCUMENT, { headers }).catch(() => null);
  if (response?.ok) {
    system.specActions.updateSpec(await response.text());
  }
}

/** Returns the token from pasted text, which may have blanks around it or be the whole Authorization header. */
function extractToken(pasted) {
  return pasted.trim().replace(/^(authorization:)?\s*bearer\s+/i, "");
}

const accountDocument = {
  statePlugins: {
    auth: {
      wrapActions: {
        authorize: (authorize, system) => (payload) => {
          const { bearer } = payload;
          if (!bearer) {
            return authorize(payload);
          }
          const token = extractToken(bearer.value);
          const authorized = authorize({ ...payload, bearer: { ...bearer, value: token } });
          loadDocument(system, token);
          return authorized;
        },
        logout: (logout, system) => (names) => {
          const result = logout(names);
          if (names.includes("bearer")) {
            loadDocument(system, null);
          }
          return result;
        },
      },
    },
  },
};

/** Takes the token out of the page's address, where `contacts dev` puts it. Returns null if there is none. */
function takeTokenFromAddress() {
  const token = location.hash.match(/^#token=(.+)$/)?.[1];
  if (!token) {
    return null;
  }
  // Otherwise it would stay in the history and in copied links.
  history.replaceState(null, "", location.pathname + location.search);
  return decodeURIComponent(token);
}

let tokenOfAddress = takeTokenFromAddress();

const page = SwaggerUIBundle({
  url: DOCUMENT,
  dom_id: "#reference",
  plugins: [accountDocument],
  deepLinking: true,
  displayRequestDuration: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  tryItOutEnabled: true,
  // The token is lost when the page is closed. It is not written to the browser's storage.
  persistAuthorization: false,
  validatorUrl: null,
  // Called when a document is displayed, and again when it is replaced by that of the account.
  onComplete: () => {
    if (tokenOfAddress) {
      const schema = { type: "http", scheme: "bearer" };
      page.authActions.authorize({ bearer: { name: "bearer", schema, value: tokenOfAddress } });
      tokenOfAddress = null;
    }
  },
});
