"""A device and a console in one, written with paho-mqtt.

PORT VERSION(3|5) DEVICE COUNT [mqtts|wss CAFILE]

Subscribes to the alerts, publishes COUNT temperatures at QoS 1, the last of which is hot, and
prints how many were acknowledged and the alert that arrived.
"""

import json
import sys
import threading

import paho.mqtt.client as mqtt

port, version, device, count = int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
scheme, authority = sys.argv[5:7] if len(sys.argv) > 5 else ("mqtt", None)
PATIENCE_SECONDS = 30

subscribed, alerted = threading.Event(), threading.Event()
alerts = []


def on_connect(client, userdata, flags, reason, properties):
    client.subscribe("alerts/critical/#", qos=1)


def on_subscribe(client, userdata, mid, reasons, properties):
    subscribed.set()


def on_message(client, userdata, message):
    event = json.loads(message.payload)
    if event["device"] == device:
        alerts.append(event)
        alerted.set()


protocol = mqtt.MQTTv5 if version == "5" else mqtt.MQTTv311
client = mqtt.Client(
    mqtt.CallbackAPIVersion.VERSION2,
    client_id=f"paho-{device}",
    protocol=protocol,
    transport="websockets" if scheme == "wss" else "tcp",
)
client.on_connect, client.on_subscribe, client.on_message = on_connect, on_subscribe, on_message
if authority:
    client.tls_set(ca_certs=authority)
# Certificates are for names.
client.connect("localhost" if authority else "127.0.0.1", port)
client.loop_start()
if not subscribed.wait(PATIENCE_SECONDS):
    sys.exit("never subscribed")
sent = []
for number in range(count):
    temperature = 95 if number == count - 1 else 20
    payload = json.dumps({"ts": 1_700_000_000_000 + number, "temperature": temperature})
    sent.append(client.publish(f"devices/{device}/telemetry", payload, qos=1))
for publish in sent:
    publish.wait_for_publish(PATIENCE_SECONDS)
print("acknowledged", sum(publish.is_published() for publish in sent))
if not alerted.wait(PATIENCE_SECONDS):
    sys.exit("no alert came")
print("alert", alerts[0]["rule"], alerts[0]["state"])
client.disconnect()
client.loop_stop()
