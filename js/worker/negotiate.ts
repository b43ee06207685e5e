/** `If-None-Match` (RFC 9110, 13.1.2). */
export function matches(header: string | null, tag: string): boolean {
  if (header === null) return false;
  return header.split(",").some((item) => [tag, `W/${tag}`, "*"].includes(item.trim()));
}

/** The smallest encoding of a model that `Accept-Encoding` names; empty for none. */
export function encodingOf(header: string | null): "br" | "gzip" | "" {
  const accepts = (name: string) =>
    (header ?? "").split(",").some((item) => {
      const [coding = "", weight = ""] = item.split(";");
      const quality = /^\s*q=(\S+)\s*$/.exec(weight)?.[1];
      return coding.trim().toLowerCase() === name && (weight.trim() === "" || Number(quality) > 0);
    });
  return accepts("br") ? "br" : accepts("gzip") ? "gzip" : "";
}
