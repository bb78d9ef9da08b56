import { $, keepFocus } from "./dom.mjs";
import { Live } from "./live.mjs";
import { Recording } from "./microphone.mjs";
import { explain, loseMicrophone, record } from "./state.mjs";
import { clock } from "./times.mjs";

const REASONS = { NotAllowedError: "mic_denied", NotFoundError: "mic_missing" };

/** Speaking instead of choosing a file. */
export class Dictation {
  constructor({ state, t, view, server, work }) {
    Object.assign(this, { state, t, view, server, work });
    this.recording = null;
    $("record").onclick = () => this.start();
    $("stop").onclick = () => this.finish();
    $("discard").onclick = () => this.discard();
  }

  async start() {
    const { state } = this;
    if (state.phase !== "idle") return;
    if (!navigator.mediaDevices?.getUserMedia || !window.MediaRecorder) {
      this.#explain(window.isSecureContext ? "mic_unsupported" : "mic_insecure");
      return;
    }
    state.phase = "asking";
    let taken;
    try {
      taken = await Recording.start({ onLevel: showLevel, onLost: () => this.#lose() });
    } catch (error) {
      if (state.phase === "asking") this.#explain(REASONS[error.name] ?? "mic_failed");
      return;
    }
    if (state.phase === "asking") this.#begin(taken);
    else taken.discard(); // a file was chosen before the browser had its answer
  }

  #begin(recording) {
    this.recording = recording;
    $("live").textContent = "";
    this.live = new Live(recording.stream, this.server, showText);
    record(this.state);
    this.view.render();
    keepFocus($("stop"));
  }

  /** What was said so far waits for the user, who alone knows whether it is worth sending. */
  #lose() {
    this.live.stop();
    loseMicrophone(this.state);
    this.view.render();
  }

  /** Say why there is no microphone. */
  #explain(reason) {
    explain(this.state, reason);
    this.view.render();
    keepFocus($("record"));
  }

  async finish() {
    const taken = this.#take();
    if (!taken) return;
    const when = new Date().toLocaleString(this.state.language, { dateStyle: "short", timeStyle: "short" });
    const sound = await taken.finish(`${this.t("recording_name")} ${when}`);
    if (!sound.size) return this.#explain("mic_nothing");
    this.state.phase = "idle";
    this.work.start(sound, { isRecorded: true });
  }

  discard() {
    const taken = this.#take();
    if (!taken) return;
    taken.discard();
    this.state.phase = "idle";
    this.view.render();
    keepFocus($("record"));
  }

  /** The recording, once: a second click finds none. */
  #take() {
    const taken = this.recording;
    this.recording = null;
    this.live?.stop();
    return taken;
  }
}

function showLevel(seconds, level) {
  $("recorded").textContent = clock(seconds);
  $("level").style.transform = `scaleX(${level})`;
}

function showText(text) {
  const place = $("live");
  place.textContent = text;
  place.scrollTop = place.scrollHeight;
}
