// Lint rules for the page's modules, their tests and this file. The page is not built, so that the
// browser runs exactly the text that is linted.

import js from "@eslint/js";
import globals from "globals";

export default [
  { ignores: ["*", "!streamer/", "!tests/", "!eslint.config.js", "streamer/dashboard/static/uplot/"] },
  js.configs.recommended,
  {
    languageOptions: { ecmaVersion: 2022, sourceType: "module" },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      eqeqeq: "error",
      "no-unused-vars": "error",
      "no-var": "error",
      "prefer-const": "error",
    },
  },
  {
    files: ["streamer/dashboard/static/*.js", "streamer/room/static/*.js"],
    languageOptions: { globals: { ...globals.browser, uPlot: "readonly" } },
  },
  { files: ["tests/js/*.js"], languageOptions: { globals: globals.node } },
];
