import { expect, test } from "vitest";
import { judge } from "../../js/caution.js";

test.each([
  ["a visible page on a fast link", false, { effectiveType: "4g" }, 0],
  ["a browser that tells nothing", false, undefined, 0],
  ["a hidden page", true, { effectiveType: "4g" }, 1],
  ["a slow link", false, { effectiveType: "2g" }, 1],
  ["Save-Data", false, { effectiveType: "4g", saveData: true }, 2],
  ["Save-Data on a hidden page", true, { saveData: true }, 2],
] as const)("%s", (_, hidden, connection, caution) => {
  expect(judge(hidden, connection)).toBe(caution);
});
