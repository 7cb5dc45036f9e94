import js from "@eslint/js";
import globals from "globals";

export default [
  { files: ["**/*.js"], ...js.configs.recommended },
  {
    files: ["**/*.js"],
    languageOptions: { ecmaVersion: 2024, sourceType: "module", globals: globals.browser },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      eqeqeq: ["error", "always", { null: "ignore" }],
      "no-implicit-globals": "error",
      "no-var": "error",
      "prefer-const": ["error", { destructuring: "all" }],
    },
  },
  {
    // These files are one script in the page: they use each other's names, which tsc looks up.
    files: ["**/app/page/web/*.js"],
    rules: { "no-undef": "off", "no-unused-vars": "off" },
  },
];
