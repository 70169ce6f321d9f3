// A device and a console in one, written with mqtt.js:
// PORT VERSION(3|5) DEVICE COUNT [mqtts|wss CAFILE].
//
// Subscribes to the alerts, publishes COUNT temperatures at QoS 1, the last of which is hot, and
// prints how many were acknowledged and the alert that arrived.

import { readFileSync } from "node:fs";

import mqtt from "mqtt";

const [port, version, device, count, scheme = "mqtt", authority] = process.argv.slice(2);
// Certificates are for names.
const host = authority ? "localhost" : "127.0.0.1";
const path = scheme === "wss" ? "/mqtt" : "";
const client = await mqtt.connectAsync(`${scheme}://${host}:${port}${path}`, {
  ca: authority && readFileSync(authority),
  protocolVersion: version === "5" ? 5 : 4,
  clientId: `mqttjs-${device}`,
});
const alert = new Promise((resolve) => {
  client.on("message", (_topic, payload) => {
    const event = JSON.parse(payload.toString());
    if (event.device === device) resolve(event);
  });
});
await client.subscribeAsync("alerts/critical/#", { qos: 1 });
const publishes = Array.from({ length: Number(count) }, (_, number) => {
  const temperature = number === count - 1 ? 95 : 20;
  const payload = JSON.stringify({ ts: 1_700_000_000_000 + number, temperature });
  return client.publishAsync(`devices/${device}/telemetry`, payload, { qos: 1 });
});
console.log("acknowledged", (await Promise.all(publishes)).length);
const event = await alert;
console.log("alert", event.rule, event.state);
await client.endAsync();
