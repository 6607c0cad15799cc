const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** A token as a string of its own; bytes that are no whole character as `bytes:\xe2\x80`. */
export function tokenText(bytes: Uint8Array): string {
  try {
    return strict.decode(bytes);
  } catch {
    return `bytes:${Array.from(bytes, (byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('')}`;
  }
}
