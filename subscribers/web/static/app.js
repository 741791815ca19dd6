"use strict";
// A placeholder: the names of the devices present, and what the view is worth.
const devices = new Map();
const source = new EventSource("/api/events");

function show(status) {
  document.getElementById("status").textContent = `${status.state} ${status.why}`;
}

function draw() {
  const items = [...devices.keys()].sort().map((name) => {
    const item = document.createElement("li");
    item.textContent = name;
    return item;
  });
  document.getElementById("devices").replaceChildren(...items);
}

source.addEventListener("snapshot", (message) => {
  const snapshot = JSON.parse(message.data);
  devices.clear();
  for (const device of snapshot.devices) devices.set(device.name, device);
  show(snapshot.status);
  draw();
});
source.addEventListener("added", (message) => {
  const { device } = JSON.parse(message.data);
  devices.set(device.name, device);
  draw();
});
source.addEventListener("removed", (message) => {
  devices.delete(JSON.parse(message.data).device.name);
  draw();
});
source.addEventListener("pulse", (message) => show(JSON.parse(message.data).status));
