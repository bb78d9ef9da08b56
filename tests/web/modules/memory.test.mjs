import assert from "node:assert/strict";
import test from "node:test";

import { Memory } from "../../../asr_core/web/page/memory.mjs";

const refuse = () => {
  throw new Error("SecurityError");
};
/** A web storage with something in it, some of whose methods fail. */
function storage(failing = {}) {
  const texts = new Map([["old", "text"]]);
  const getItem = (name) => texts.get(name) ?? null;
  const setItem = (name, text) => texts.set(name, text);
  return { texts, getItem, setItem, removeItem: (name) => texts.delete(name), ...failing };
}

const STORAGES = {
  "works": () => storage(),
  "may not be looked at": refuse,
  "is not there": () => null,
  "is full": () => storage({ setItem: refuse }),
  "can only be read": () => storage({ setItem: refuse, removeItem: refuse }),
};

for (const [how, open] of Object.entries(STORAGES)) {
  test(`what is set is there until it is forgotten, where the storage ${how}`, () => {
    const memory = new Memory(open);
    assert.equal(memory.get("name"), null);
    memory.set("name", "text");
    assert.equal(memory.get("name"), "text");
    for (const name of ["name", "old"]) {
      memory.forget(name);
      assert.equal(memory.get(name), null);
    }
  });
}

test("a storage that works outlives the page", () => {
  const lasting = storage();
  const open = () => lasting;
  new Memory(open).set("name", "text");
  assert.equal(new Memory(open).get("name"), "text");
  new Memory(open).forget("name");
  assert.deepEqual([...lasting.texts.keys()], ["old"]);
});
