"""Dialect B, the console programs: "message" with "mess_text", which is not answered, and "exit"."""
import sys
import time

import jim_peer

# the client


def presence(name):
    return {"action": "presence", "time": time.time(), "user": {"account_name": name}}


def welcome(answer):
    return answer["response"] == 200


def message(name, to, text):
    return {"action": "message", "from": name, "to": to, "time": time.time(), "mess_text": text}


def goodbye(name):
    return {"action": "exit", "time": time.time(), "account_name": name}


def show(obj, name):
    if obj.get("action") == "message" and "from" in obj and obj.get("to") == name and "mess_text" in obj:
        return "%s to %s: %s" % (obj["from"], obj["to"], obj["mess_text"])
    return "not understood: %r" % obj


# the server


def who(obj):
    known = obj.get("action") == "presence" and "time" in obj and "user" in obj
    return obj["user"]["account_name"] if known else None


def greeting():
    return {"response": 200}


def refusal(_obj):
    return {"response": 400, "error": "this name is taken"}


def leaves(obj, name):
    return obj["action"] == "exit" and obj["account_name"] == name


def addressee(obj, _name):
    assert obj["action"] == "message" and "time" in obj and "from" in obj and "mess_text" in obj
    return obj["to"]


def receipt(_delivered):
    return None


if __name__ == "__main__":
    jim_peer.main(sys.modules[__name__])
