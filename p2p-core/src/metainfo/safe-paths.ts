/**
 * File names out of torrents, made safe to create on any system.
 *
 * Whoever made the torrent chose the names, and may want a file outside the download folder, or two files in one
 * place. So every component is cleaned by itself, `.`, `..` and empty ones are dropped, and then paths that would
 * meet on some system (same but for case, accents composed or not, trailing dots; a file where a folder must be)
 * are told apart. All of it depends on the names alone, so that every start of every node gives the same paths.
 *
 * Characters that only Windows forbids (`?`, `*`, `:` …) stay: elsewhere people have files named with them, and a
 * seed has to find its file under the name that it announces.
 */

/** The longest file name of ext4, APFS and NTFS in UTF-8 bytes. */
const MAX_COMPONENT_BYTES = 255;
/** Names are cut to this, which leaves room for ` (1234567)`. */
const SHORTENED_BYTES = 240;
/** An extension is kept when a name is cut, if it is no longer than this. */
const MAX_EXTENSION_LENGTH = 16;

/** Separators, control characters, line separators, and marks that change the direction of text or are invisible. */
const FORBIDDEN_CHARACTERS =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what it is there to find
  /[/\\\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;
const WINDOWS_DEVICE = /^(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(?=[ .:]|$)/i;
const WINDOWS_DRIVE = /^[a-z]:/i;
/** Letters and digits of ASCII and what joins them. */
const PLAIN = /^[\w()-]*$/;
const ONLY_DOTS_AND_SPACES = /^[. ]*$/;

/** One component of a path made safe; `_` if nothing of it can stay. */
export function safeComponent(name: string): string {
  if (name.length > 0 && name.length <= MAX_COMPONENT_BYTES && PLAIN.test(name)) {
    return WINDOWS_DEVICE.test(name) ? `_${name}` : name;
  }
  let safe = name.replace(FORBIDDEN_CHARACTERS, '_');
  if (WINDOWS_DRIVE.test(safe)) safe = `${safe[0]}_${safe.slice(2)}`;
  if (WINDOWS_DEVICE.test(safe)) safe = `_${safe}`;
  if (ONLY_DOTS_AND_SPACES.test(safe)) return '_';
  return utf8Length(safe) > MAX_COMPONENT_BYTES ? shortened(safe) : safe;
}

/**
 * Safe, '/'-separated paths for the files of a torrent, in its order: never empty, absolute or upwards, and no two
 * that are one place, or a file and a folder, on any system.
 *
 * @param root the name of the torrent, under which all lie; undefined if the torrent is a single file
 */
export function safePaths(root: string | undefined, paths: readonly (readonly string[])[]): string[] {
  const start = root === undefined ? [] : [safeComponent(root)];
  const cleaned = paths.map((path) => {
    const kept = path.filter((name) => name !== '' && name !== '.' && name !== '..');
    return [...start, ...(kept.length === 0 ? ['_'] : kept.map(safeComponent))];
  });
  return toldApart(cleaned);
}

function toldApart(paths: readonly (readonly string[])[]): string[] {
  const folders = new Set<string>();
  const keys = paths.map((path) => path.map(comparisonKey).join('/'));
  for (const key of keys) {
    let slash = key.lastIndexOf('/');
    while (slash > 0) {
      const folder = key.slice(0, slash);
      if (folders.has(folder)) break; // and so are all above it
      folders.add(folder);
      slash = key.lastIndexOf('/', slash - 1);
    }
  }

  const taken = new Set<string>();
  // The last number given to a name, so that a torrent of equal names costs no more than its length.
  const lastNumbers = new Map<string, number>();
  return paths.map((path, index) => {
    let key = keys[index]!;
    if (!taken.has(key) && !folders.has(key)) {
      taken.add(key);
      return path.join('/');
    }
    const folderKey = key.slice(0, key.lastIndexOf('/') + 1);
    const name = path.at(-1)!;
    const base = utf8Length(name) > SHORTENED_BYTES ? shortened(name) : name;
    const baseKey = folderKey + comparisonKey(base);
    let number = lastNumbers.get(baseKey) ?? 0;
    let numbered: string;
    do {
      number++;
      numbered = withNumber(base, number);
      key = folderKey + comparisonKey(numbered);
    } while (taken.has(key) || folders.has(key));
    lastNumbers.set(baseKey, number);
    taken.add(key);
    return [...path.slice(0, -1), numbered].join('/');
  });
}

/** Equal for names that some file system takes for one. */
function comparisonKey(name: string): string {
  let end = name.length;
  while (end > 0 && (name[end - 1] === '.' || name[end - 1] === ' ')) end--;
  const visible = name.slice(0, end);
  // Most names need no Unicode rules, and a torrent may have a million.
  if (PLAIN.test(visible)) return visible.toLowerCase();
  return visible.normalize('NFC').toUpperCase().toLowerCase().normalize('NFC');
}

function withNumber(name: string, number: number): string {
  const { stem, extension } = splitExtension(name);
  return `${stem} (${number})${extension}`;
}

function shortened(name: string): string {
  const { stem, extension } = splitExtension(name);
  let left = SHORTENED_BYTES - utf8Length(extension);
  let kept = '';
  for (const character of stem) {
    left -= utf8Length(character);
    if (left < 0) break;
    kept += character;
  }
  return kept + extension;
}

function splitExtension(name: string): { stem: string; extension: string } {
  const dot = name.lastIndexOf('.');
  if (dot <= 0 || name.length - dot > MAX_EXTENSION_LENGTH) return { stem: name, extension: '' };
  return { stem: name.slice(0, dot), extension: name.slice(dot) };
}

function utf8Length(text: string): number {
  let length = 0;
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    // Each half of a surrogate pair counts 2 of its 4 bytes.
    length += code < 0x80 ? 1 : code < 0x800 || (code >= 0xd800 && code <= 0xdfff) ? 2 : 3;
  }
  return length;
}
