"""Dialect A, the course's text: "msg", "quit", every request answered, every answer with its alert or error."""
import sys
import time

import jim_peer


def now():
    return int(time.time())


# the client


def presence(name):
    return {"action": "presence", "time": now(), "type": "status", "user": {"account_name": name, "status": "here"}}


def check(answer):
    if not isinstance(answer["response"], int) or not isinstance(answer["alert" if answer["response"] < 400 else "error"], str):
        sys.exit("no answer: %r" % answer)


def welcome(answer):
    check(answer)
    return answer["response"] == 200


def message(name, to, text):
    return {"action": "msg", "time": now(), "to": to, "from": name, "encoding": "utf-8", "message": text}


def goodbye(_name):
    return {"action": "quit"}


def show(obj, _name):
    if "response" in obj:
        check(obj)
        return "answer %d" % obj["response"]
    return "%s to %s: %s" % (obj["from"], obj["to"], obj["message"])


# the server


def who(obj):
    return obj["user"]["account_name"] if obj["action"] == "presence" else None


def greeting():
    return {"response": 200, "time": now(), "alert": "OK"}


def refusal(_obj):
    return {"response": 409, "time": now(), "error": "this name is taken"}


def leaves(obj, _name):
    return obj["action"] == "quit"


def addressee(obj, name):
    assert obj["action"] == "msg" and obj["from"] == name and isinstance(obj["message"], str)
    return obj["to"]


def receipt(delivered):
    if delivered:
        return greeting()
    return {"response": 404, "time": now(), "error": "no such user"}


if __name__ == "__main__":
    jim_peer.main(sys.modules[__name__])
