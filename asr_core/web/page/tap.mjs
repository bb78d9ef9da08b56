const SAMPLES = 2400; // a tenth of a second

/** An AudioWorklet that hands on what the microphone hears as 16-bit samples. */
class Tap extends AudioWorkletProcessor {
  constructor() {
    super();
    this.block = new Int16Array(SAMPLES);
    this.filled = 0;
  }

  process([[channel]]) {
    for (const sample of channel ?? []) {
      this.block[this.filled++] = Math.max(-1, Math.min(1, sample)) * 32767;
      if (this.filled < SAMPLES) continue;
      this.port.postMessage(this.block.slice().buffer);
      this.filled = 0;
    }
    return true;
  }
}

registerProcessor("tap", Tap);
