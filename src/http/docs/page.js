// The reference. Without a token it shows what every account has; with one also the account's own fields.
"use strict";

const DOCUMENT = "openapi.json";

/** Shows the document that a token (or none) gets. A token that is refused changes nothing: calls will say why. */
async function show(system, token) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const answer = await fetch(DOCUMENT, { headers }).catch(() => null);
  if (answer?.ok) {
    system.specActions.updateSpec(await answer.text());
  }
}

/** The token as people paste it: with blanks around it, or as the whole header. */
function bare(pasted) {
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
          const token = bare(bearer.value);
          const authorized = authorize({ ...payload, bearer: { ...bearer, value: token } });
          show(system, token);
          return authorized;
        },
        logout: (logout, system) => (names) => {
          const gone = logout(names);
          if (names.includes("bearer")) {
            show(system, null);
          }
          return gone;
        },
      },
    },
  },
};

SwaggerUIBundle({
  url: DOCUMENT,
  dom_id: "#reference",
  plugins: [accountDocument],
  deepLinking: true,
  displayRequestDuration: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  tryItOutEnabled: true,
  // A token lives as long as the page does: nothing is kept in the browser's storage.
  persistAuthorization: false,
  validatorUrl: null,
});
