// What is wrong with a file, found before it travels: a key of messages.js, or null. The server looks again.

import { MAX_FILE } from "./server.js";

// By name only what nobody can read and content does not betray; what a file really is the pipeline finds out.
const OTHER_NAMES = /\.(docm?|dotx?|odt|rtf|pages|epub|mobi|xlsx?|ods|pptx?|odp|zip|rar|7z|html?|gif|bmp|heic|svg|mp3|mp4)$/i;
const OLD_WORD = /\.(doc|dot)$/i;
const HEAD = 4096; // bytes
const KNOWN = /^(%PDF-|PK\x03\x04|\x89PNG|\xff\xd8\xff|II\*\0|MM\0\*|RIFF[^]{4}WEBP|\xff\xfe|\xfe\xff)/;
const FOLDER = "folder";

export async function problemOf(file, isFolder) {
  if (isFolder) return FOLDER;
  if (file.size > MAX_FILE) return "tooLarge";
  if (OLD_WORD.test(file.name)) return "oldWord";
  if (OTHER_NAMES.test(file.name)) return "wrongType";
  if (file.size === 0) return "empty";
  try {
    // One character for each byte, so that a regular expression can look at them.
    const head = String.fromCharCode(...new Uint8Array(await file.slice(0, HEAD).arrayBuffer()));
    return KNOWN.test(head) || head.includes("%PDF-") || !head.includes("\0") ? null : "wrongType";
  } catch {
    return "unreadableFile"; // moved or deleted since it was chosen, or a folder that says it is none
  }
}
