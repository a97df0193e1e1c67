"""Dialect C: "code" instead of "response", "destination", "message_text"; only an unknown addressee is answered."""
import sys
import time

import jim_peer

# the client


def presence(name):
    user = {"account_name": name, "status": "online"}
    return {"action": "presence", "time": time.time(), "type": "status", "user": user}


def welcome(answer):
    return answer["code"] == 200 and answer["alert"] != ""


def message(name, to, text):
    head = {"action": "message", "time": time.time(), "account_name": name}
    if to == "all":
        return {**head, "action": "to_all", "message_text": text}
    return {**head, "destination": to, "message_text": text}


def goodbye(name):
    return {"action": "exit", "time": time.time(), "account_name": name}


def show(obj, _name):
    if "code" in obj:
        return "answer %d" % obj["code"]
    return "%s to %s: %s" % (obj["account_name"], obj["destination"], obj["message_text"])


# the server


def who(obj):
    if obj["action"] != "presence":
        return None
    assert obj["type"] == "status" and obj["user"]["status"] and obj["time"] <= time.time()
    return obj["user"]["account_name"]


def greeting():
    return {"code": 200, "alert": "OK"}


def refusal(_obj):
    return {"code": 400, "error": "this name is taken"}


def leaves(obj, name):
    return obj["action"] == "exit" and obj["account_name"] == name


def addressee(obj, name):
    assert obj["action"] == "message" and obj["account_name"] == name and "message_text" in obj
    return obj["destination"]


def receipt(delivered):
    return None if delivered else {"code": 404, "error": "no such user"}


if __name__ == "__main__":
    jim_peer.main(sys.modules[__name__])
