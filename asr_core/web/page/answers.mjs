// What the server answers, without asking it.

const KIND_OF_CODE = { queue_full: "busy", busy: "busy", model_not_ready: "not_ready" };
const KIND_OF_STATUS = {
  0: "network",
  400: "bad_audio",
  401: "unauthorized",
  413: "too_large",
  502: "network",
  503: "busy",
  504: "network",
};

/** An answer other than success: HTTP status (0: none came), OpenAI's error code, the server's own words. */
export class Problem extends Error {
  constructor(status, code = null, message = "") {
    super(message);
    Object.assign(this, { status, code });
  }

  static from(status, body) {
    try {
      const { code, message } = JSON.parse(body).error;
      return new Problem(status, code, message);
    } catch {
      return new Problem(status); // a proxy's page, most likely
    }
  }

  /** The stem of the strings that explain it. */
  get kind() {
    return KIND_OF_CODE[this.code] ?? KIND_OF_STATUS[this.status] ?? "unknown";
  }
}

/** The JSON lines of an answer that grows; blank lines among them only keep the connection alive. */
export class Lines {
  #read = 0;

  /** The objects of the lines that are complete in `text`, all that has arrived, and were not at the last call. */
  read(text) {
    const end = text.lastIndexOf("\n") + 1;
    const lines = text.slice(this.#read, end).split("\n");
    this.#read = end;
    return lines.filter(Boolean).map((line) => JSON.parse(line));
  }
}
