// The server's public API, as this page uses it.

import { Lines, Problem } from "./answers.mjs";

const KEY = "gigaam-asr-key";

export class Server {
  /** `memory` keeps the key. */
  constructor(memory) {
    this.memory = memory;
  }

  get hasKey() {
    return Boolean(this.memory.getItem(KEY));
  }

  useKey(key) {
    this.memory.setItem(KEY, key);
  }

  forgetKey() {
    this.memory.removeItem(KEY);
  }

  /** GET a small JSON document; throws Problem, or the signal's reason. */
  async ask(path, signal) {
    let response;
    try {
      response = await fetch(path, { headers: this.#headers(), cache: "no-store", signal });
    } catch (error) {
      throw signal?.aborted ? error : new Problem(0);
    }
    if (!response.ok) throw Problem.from(response.status, await response.text());
    return response.json();
  }

  /**
   * Have `file` transcribed: `onSent` hears how much of it has been sent (0..1), `onSegments` the segments as they are
   * recognised. Resolves with the stream's last object; rejects with Problem, or with the signal's reason.
   * XMLHttpRequest, because fetch cannot tell how far an upload is.
   */
  transcribe(file, { onSent, onSegments }, signal) {
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      const lines = new Lines();
      let done = null;
      request.upload.onprogress = (event) => event.lengthComputable && onSent(event.loaded / event.total);
      request.upload.onload = () => onSent(1);
      request.onprogress = () => {
        if (request.status !== 200) return;
        const events = lines.read(request.responseText);
        const segments = events.filter((event) => event.type === "segment");
        if (segments.length) onSegments(segments);
        done ??= events.find((event) => event.type === "done");
        const error = events.find((event) => event.type === "error")?.error;
        if (error) reject(new Problem(500, error.code, error.message));
      };
      request.onload = () => {
        if (request.status !== 200) return reject(Problem.from(request.status, request.responseText));
        request.onprogress();
        return done ? resolve(done) : reject(new Problem(0));
      };
      request.onerror = () => reject(new Problem(0));
      signal.addEventListener("abort", () => {
        request.abort();
        reject(signal.reason);
      });
      request.open("POST", "transcribe_stream");
      for (const [name, value] of Object.entries(this.#headers())) request.setRequestHeader(name, value);
      request.send(formOf(file));
    });
  }

  /** The key as a header: its UTF-8 bytes, whatever letters it has. */
  #headers() {
    const key = this.memory.getItem(KEY);
    return key ? { Authorization: "Bearer " + String.fromCharCode(...new TextEncoder().encode(key)) } : {};
  }
}

function formOf(file) {
  const form = new FormData();
  form.append("file", file, "recording"); // its name is nobody's business
  return form;
}
