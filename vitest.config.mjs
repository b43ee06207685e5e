import { join } from "node:path";
import { generatedModules } from "./js/build/generated.mjs";

const modules = await generatedModules(join(import.meta.dirname, "pkg/dist/core"));

export default {
  plugins: [
    {
      // Unit tests import the sources of js/ with the real core.
      name: "foremap-generated",
      enforce: "pre",
      resolveId: (id) => (id in modules ? `\0${id}` : undefined),
      load: (id) => modules[id.slice(1)],
    },
  ],
  test: {
    include: ["**/*.test.ts"],
    testTimeout: 20_000,
    hookTimeout: 60_000,
    // The machine may be busy: what is waited for comes or does not, however late.
    expect: { poll: { timeout: 15_000 } },
  },
};
