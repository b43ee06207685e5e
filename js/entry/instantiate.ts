import { createGlue } from "foremap:glue";
import type { Instantiate } from "../engine/core.js";

/** Fresh instances of a compiled module. */
export function instances(module: WebAssembly.Module): Instantiate {
  return () => {
    const glue = createGlue();
    glue.initSync({ module });
    return glue;
  };
}
