"""A collector of metrics by OTLP over HTTP, for the suite `telemetry`: writes down who has told what.

Usage: collector.py PORT_FILE PUSHES_FILE

The port that it got goes to PORT_FILE; each push that comes adds a line of JSON to PUSHES_FILE for each of its resources:
the attributes and the names of the metrics.
"""

import http.server
import json
import os
import sys

from opentelemetry.proto.metrics.v1.metrics_pb2 import MetricsData


def told(body):
    """The attributes and the names of the metrics of each resource."""
    for one in MetricsData.FromString(body).resource_metrics:
        attributes = {attribute.key: attribute.value.string_value for attribute in one.resource.attributes}
        metrics = {metric.name for scope in one.scope_metrics for metric in scope.metrics}
        yield {"attributes": attributes, "metrics": sorted(metrics)}


def main(port_file, pushes_file):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            is_right = self.path == "/v1/metrics" and self.headers["content-type"] == "application/x-protobuf"
            if is_right:
                with open(pushes_file, "a") as pushes:
                    pushes.writelines(json.dumps(one) + "\n" for one in told(body))
            self.send_response(200 if is_right else 400)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    # Whole or not at all: somebody waits for it.
    with open(port_file + ".new", "w") as out:
        out.write(str(server.server_port))
    os.rename(port_file + ".new", port_file)
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
