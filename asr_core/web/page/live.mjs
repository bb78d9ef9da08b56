const RATE = 24000;
const MOST_UNSENT = 1 << 20;
const DELTA = "conversation.item.input_audio_transcription.delta";

/** The text of a microphone's sound while it is spoken. The recording has the final say: what fails here only shows no text. */
export class Live {
  /** `onText` hears the whole text so far, again whenever there is more. */
  constructor(stream, server, onText) {
    this.isOpen = true;
    this.texts = new Map(); // by utterance
    this.onText = onText;
    this.#start(stream, server).catch(() => this.stop());
  }

  stop() {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.socket?.close();
    this.sound?.close();
  }

  async #start(stream, server) {
    this.sound = new AudioContext({ sampleRate: RATE });
    const source = this.sound.createMediaStreamSource(stream); // some browsers cannot at another rate than the device's
    const [socket] = await Promise.all([server.openLive(), this.sound.audioWorklet.addModule("page/tap.mjs")]);
    if (!this.isOpen) return socket.close();
    this.socket = socket;
    socket.onmessage = ({ data }) => this.#hear(JSON.parse(data));
    socket.onclose = socket.onerror = () => this.stop();
    const tap = new AudioWorkletNode(this.sound, "tap", { numberOfInputs: 1, numberOfOutputs: 0, channelCount: 1, channelCountMode: "explicit" });
    tap.port.onmessage = ({ data }) => this.#send(data);
    source.connect(tap);
  }

  #send(buffer) {
    if (this.socket.readyState !== WebSocket.OPEN || this.socket.bufferedAmount > MOST_UNSENT) return;
    const audio = btoa(String.fromCharCode(...new Uint8Array(buffer)));
    this.socket.send(JSON.stringify({ type: "input_audio_buffer.append", audio }));
  }

  #hear(event) {
    if (event.type !== DELTA || !this.isOpen) return;
    this.texts.set(event.item_id, (this.texts.get(event.item_id) ?? "") + event.delta);
    this.onText([...this.texts.values()].join(" "));
  }
}
