// What the server answers, without asking it.

const KIND_OF_CODE = {
  __proto__: null, // whatever a server may come to say: nothing is found that is not here
  audio_too_long: "too_long",
  busy: "busy",
  cancelled: "cancelled", // by the user: not the server's
  model_not_ready: "not_ready",
  queue_full: "busy",
  storage_full: "no_room",
  unreadable: "unreadable", // by the browser: not the server's
};
const KIND_OF_STATUS = {
  0: "network",
  401: "unauthorized",
  408: "network",
  413: "too_large",
  502: "network",
  503: "busy",
  504: "network",
  507: "no_room",
};

/** What to make of a kind of problem: may it pass (`retry`), do the server's words add something, is it no failure? */
const TREATMENTS = {
  bad_audio: { explained: true },
  busy: { retry: true },
  cancelled: { retry: true, calm: true },
  network: { retry: true },
  no_room: { retry: true, explained: true },
  not_ready: { retry: true },
  too_large: { explained: true },
  too_long: { explained: true },
  unauthorized: { calm: true },
  unknown: { retry: true, explained: true },
  unreadable: {},
};

/** An answer other than success: HTTP status (0: none came) and what OpenAI's error object says. */
export class Problem extends Error {
  constructor(status, { code = null, param = null, message = "" } = {}) {
    super(message);
    Object.assign(this, { status, code, param });
  }

  static from(status, body) {
    try {
      return new Problem(status, JSON.parse(body).error);
    } catch {
      return new Problem(status); // a proxy's page, most likely
    }
  }

  /** The stem of the strings that explain it. */
  get kind() {
    const ofParam = this.param === "file" ? "bad_audio" : undefined;
    return KIND_OF_CODE[this.code] ?? ofParam ?? KIND_OF_STATUS[this.status] ?? "unknown";
  }

  get treatment() {
    return TREATMENTS[this.kind];
  }
}

/** The JSON lines of an answer that grows; blank lines among them only keep the connection alive. */
export class Lines {
  #read = 0;

  /**
   * The objects of the lines that are complete in `text`, all that has arrived, and were not at the last call.
   * Throws Problem if they are no JSON: then somebody else has answered in the server's place.
   */
  read(text) {
    const end = text.lastIndexOf("\n") + 1;
    const lines = text.slice(this.#read, end).split("\n");
    this.#read = end;
    try {
      return lines.filter((line) => line.trim()).map((line) => JSON.parse(line));
    } catch {
      throw new Problem(0);
    }
  }
}
