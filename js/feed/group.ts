/** Raised with the form of messages and of feeds: tabs that run another version of an application meet elsewhere. */
const FORMAT = 1;

/**
 * A name for those who are entitled to the same feed and mean the same gateways: origins and identity, hashed, as names of
 * channels and locks can be read by every script of the origin.
 */
export async function groupName(origins: readonly string[], ...identity: (string | undefined)[]): Promise<string> {
  const text = JSON.stringify([[...origins].sort(), ...identity.map((part) => part ?? null)]);
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
  const hex = Array.from(hash.subarray(0, 16), (byte) => byte.toString(16).padStart(2, "0")).join("");
  return `foremap/${FORMAT}/${hex}`;
}
