// A clinician's key file, read where it lies: the secret half leaves this page in no request.
import { ed25519 } from "@noble/curves/ed25519.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js";

export interface Key {
  clinician: string;
  /** The first 16 hexadecimal digits of the SHA-256 of the public half, as the engine names keys. */
  id: string;
  secret: Uint8Array;
}

function bytes(base64: string): Uint8Array {
  return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
}

function base64(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes));
}

/** Reads the file of `aftercall check --new-key`; null where it is none, or its halves do not belong together. */
export function readKey(file: string): Key | null {
  const value = (name: string) => new RegExp(`^${name}\\s*=\\s*"([^"]*)"`, "m").exec(file)?.[1];
  const [clinician, known, hidden] = [value("clinician"), value("public"), value("secret")];
  if (!clinician || !known || !hidden) return null;
  try {
    const secret = bytes(hidden);
    if (secret.length !== 32 || base64(ed25519.getPublicKey(secret)) !== known) return null;
    return { clinician, id: bytesToHex(sha256(utf8ToBytes(known))).slice(0, 16), secret };
  } catch {
    return null;
  }
}

/** Ed25519 (RFC 8032) over the text, base64. */
export function signText(key: Key, text: string): string {
  return base64(ed25519.sign(utf8ToBytes(text), key.secret));
}
