// The server's public API, as this page uses it.

import { Lines, Problem } from "./answers.mjs";

const KEY = "gigaam-asr-key";

export class Server {
  /** `memory` keeps the key, `keywords.text` is what to listen for. */
  constructor(memory, keywords) {
    Object.assign(this, { memory, keywords });
  }

  get hasKey() {
    return Boolean(this.memory.get(KEY));
  }

  useKey(key) {
    this.memory.set(KEY, key);
  }

  forgetKey() {
    this.memory.forget(KEY);
  }

  /** GET a small JSON document; throws Problem, or the signal's reason. */
  async ask(path, signal) {
    const response = await this.#get(path, signal);
    try {
      const body = await response.text();
      if (response.ok) return JSON.parse(body);
      throw Problem.from(response.status, body);
    } catch (error) {
      throw signal?.aborted || error instanceof Problem ? error : new Problem(0);
    }
  }

  async #get(path, signal) {
    try {
      return await fetch(path, { headers: this.#headers(), cache: "no-store", signal });
    } catch (error) {
      throw signal?.aborted ? error : new Problem(0);
    }
  }

  /** A WebSocket for live text. A socket has no headers and a key may have any letters: a short-lived one takes its place. */
  async openLive() {
    const response = await fetch("v1/realtime/client_secrets", { method: "POST", headers: this.#headers(), body: "{}" });
    if (!response.ok) throw Problem.from(response.status, await response.text());
    const { value } = await response.json();
    const url = new URL("v1/realtime?intent=transcription", document.baseURI);
    url.protocol = url.protocol.replace("http", "ws");
    return new WebSocket(url, ["realtime", `openai-insecure-api-key.${value}`]);
  }

  /**
   * Have `file` transcribed, as `fields` ask for: `onSent` hears how much of it has been sent (0..1), `onSegments` the segments as they are
   * recognised. Resolves with the stream's last object; rejects with Problem, or with the signal's reason.
   * XMLHttpRequest, because fetch cannot tell how far an upload is.
   */
  transcribe(file, fields, { onSent, onSegments }, signal) {
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      const giveUp = (reason) => {
        reject(reason);
        request.abort();
      };
      const receive = receiver(request, { onSegments, onDone: resolve, onProblem: giveUp });
      request.upload.onprogress = (event) => event.lengthComputable && onSent(event.loaded / event.total);
      request.upload.onload = () => onSent(1);
      request.onprogress = () => request.status === 200 && receive();
      request.onload = () => {
        if (request.status !== 200) return reject(Problem.from(request.status, request.responseText));
        receive();
        reject(new Problem(0)); // which means nothing if it was whole
      };
      request.onerror = async () => reject(new Problem(0, (await isReadable(file)) ? {} : { code: "unreadable" }));
      signal.addEventListener("abort", () => giveUp(signal.reason));
      request.open("POST", "transcribe_stream");
      for (const [name, value] of Object.entries(this.#headers())) request.setRequestHeader(name, value);
      request.send(formOf(file, { keywords: this.keywords.text, ...fields }));
    });
  }

  /** The key as a header: its UTF-8 bytes, whatever letters it has. */
  #headers() {
    const key = this.memory.get(KEY);
    return key ? { Authorization: "Bearer " + String.fromCharCode(...new TextEncoder().encode(key)) } : {};
  }
}

/** A function that reads what has arrived of `request`'s answer, and tells it. */
function receiver(request, { onSegments, onDone, onProblem }) {
  const lines = new Lines();
  return () => {
    try {
      const events = lines.read(request.responseText);
      const segments = events.filter((event) => event.type === "segment");
      if (segments.length) onSegments(segments);
      for (const event of events) {
        if (event.type === "done") onDone(event);
        if (event.type === "error") onProblem(new Problem(500, event.error));
      }
    } catch (error) {
      onProblem(error); // left to itself it would end nothing, and the page would wait for ever
    }
  };
}

function formOf(file, fields) {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) if (value) form.append(name, value);
  form.append("file", file, "recording"); // its name is nobody's business
  return form;
}

/** Can it still be read? It may have been moved, changed or unplugged since it was chosen, or be a folder. */
async function isReadable(file) {
  const reader = file.stream().getReader();
  try {
    await reader.read();
    await reader.cancel();
    return true;
  } catch {
    return false;
  }
}
