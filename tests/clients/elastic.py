"""Elastic's own library: says hello, then sends documents with its bulk helper. Prints what it was told."""
import datetime
import json
import sys

from elasticsearch import Elasticsearch, helpers

url, when = sys.argv[1:3]
client = Elasticsearch(url)
told = {"version": client.info()["version"]["number"], "ping": bool(client.ping())}
told["health"] = client.cluster.health()["status"]
time = datetime.datetime.fromisoformat(when)


def documents():
    for n in range(50):
        source = {"@timestamp": time, "message": f"elastic {n}", "log": {"level": "error"}, "n": n}
        source["kubernetes"] = {"namespace": "shop", "pod": {"name": "cart-1"}}
        yield {"_op_type": "create" if n % 2 else "index", "_index": "logs-cart", "_source": source}


told["stored"], told["errors"] = helpers.bulk(client, documents(), chunk_size=20)
wrong = [
    {"_op_type": "delete", "_index": "logs-cart", "_id": "1"},
    {"_op_type": "create", "_index": "logs-cart", "_source": {"@timestamp": "yesterday", "message": "elastic wrong"}},
    {"_op_type": "create", "_index": "logs-cart", "_source": {"message": "elastic right"}},
]
stored, errors = helpers.bulk(client, wrong, raise_on_error=False)
told["half"] = [stored, [next(iter(item.values()))["status"] for item in errors]]
print(json.dumps(told))
