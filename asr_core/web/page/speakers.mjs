// Who spoke: what speakers are called, and the colours they have.

const COLOURS = 8; // style.css has as many

/** What the server calls each speaker → what the reader does, and the order in which they first spoke. */
export class Speakers {
  /** `onNamed` is called when one is called otherwise than before. */
  constructor(onNamed = () => {}) {
    this.onNamed = onNamed;
    this.clear();
  }

  clear() {
    this.names = new Map();
  }

  /** The number of a speaker's colour; -1 where nobody is told apart. */
  colour(speaker) {
    if (speaker === undefined) return -1;
    if (!this.names.has(speaker)) this.names.set(speaker, speaker);
    return [...this.names.keys()].indexOf(speaker) % COLOURS;
  }

  name(speaker) {
    return this.names.get(speaker) ?? speaker;
  }

  /** An empty name takes the given one away. */
  rename(speaker, name) {
    const before = this.name(speaker);
    this.names.set(speaker, name.replace(/\s+/g, " ").trim() || speaker);
    if (this.name(speaker) !== before) this.onNamed();
  }

  /** The segments with the names that the reader gave. */
  named(segments) {
    return segments.map((segment) =>
      segment.speaker === undefined ? segment : { ...segment, speaker: this.name(segment.speaker) },
    );
  }
}

/** The field with a speaker's name at the head of a turn, to be typed over; `onName` hears what was typed. */
export function nameField(speaker, speakers, label, onName) {
  const field = document.createElement("input");
  Object.assign(field, { type: "text", value: speakers.name(speaker), maxLength: 40, className: "speaker" });
  field.dataset.speaker = speaker;
  field.dataset.colour = speakers.colour(speaker);
  field.setAttribute("aria-label", label);
  field.addEventListener("change", () => onName(speaker, field.value));
  return field;
}
