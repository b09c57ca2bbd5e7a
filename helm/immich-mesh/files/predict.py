"""What `helm test` runs: asks the router as Immich asks, and judges the answers. Standard library only."""

import argparse
import json
import math
import sys
import urllib.error
import urllib.request

BOUNDARY = "----immich-mesh-helm-test"
ENTRIES = {
    "ocr": {
        "ocr": {
            "detection": {"modelName": "PP-OCRv5_mobile", "options": {"minScore": 0.5, "maxResolution": 736}},
            "recognition": {"modelName": "PP-OCRv5_mobile", "options": {"minScore": 0.5}},
        }
    },
    "face": {
        "facial-recognition": {
            "detection": {"modelName": "buffalo_l", "options": {"minScore": 0.7}},
            "recognition": {"modelName": "buffalo_l"},
        }
    },
}
CLIP_TYPES = ("visual", "textual")


def form(entries: dict[str, object], photo: bytes | None) -> bytes:
    """A multipart body as Immich sends it: `entries`, then the photo or a text."""
    head = f"--{BOUNDARY}\r\nContent-Disposition: form-data; name="
    body = f'{head}"entries"\r\n\r\n{json.dumps(entries)}\r\n'.encode()
    if photo is None:
        body += f'{head}"text"\r\n\r\na receipt\r\n'.encode()
    else:
        body += f'{head}"image"; filename="blob"\r\nContent-Type: application/octet-stream\r\n\r\n'.encode()
        body += photo + b"\r\n"
    return body + f"--{BOUNDARY}--\r\n".encode()


def predict(url: str, timeout: float, entries: dict[str, object], photo: bytes | None) -> dict[str, object]:
    """One `POST /predict`; the decoded answer."""
    request = urllib.request.Request(
        f"{url}/predict",
        data=form(entries, photo),
        headers={"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"},
        method="POST",
    )
    with urllib.request.urlopen(request, timeout=timeout) as response:
        answer: dict[str, object] = json.load(response)
        return answer


def require(condition: bool, message: str) -> None:
    """Fails the test with a sentence."""
    if not condition:
        raise AssertionError(message)


def check_ocr(ask, text: str) -> str:
    """The photo's text is read, and every line has its box and scores."""
    found = ask(ENTRIES["ocr"])["ocr"]
    require(text in " ".join(found["text"]), f"expected the text {text!r}, got {found['text']}")
    lines = len(found["text"])
    require(len(found["box"]) == 8 * lines, "a line without its box")
    require(len(found["boxScore"]) == len(found["textScore"]) == lines, "a line without its scores")
    return f"read {found['text']}"


def check_face(ask, _: str) -> str:
    """The photo, which shows nobody, gives an empty list."""
    found = ask(ENTRIES["face"])["facial-recognition"]
    require(isinstance(found, list), f"expected a list of faces, got {found!r}")
    return f"found {len(found)} faces"


def check_clip(ask, _: str) -> str:
    """Photo and sentence become vectors of one length, 1 long."""
    dimensions = set()
    for kind in CLIP_TYPES:
        entries = {"clip": {kind: {"modelName": "ViT-B-32__openai", **({"options": {}} if kind == "textual" else {})}}}
        try:
            vector = json.loads(ask(entries, kind)["clip"])
        except urllib.error.HTTPError as error:
            if error.code == 422:
                return f"no ViT-B-32__openai here: {error.read().decode()}"
            raise
        require(math.isclose(math.hypot(*vector), 1, abs_tol=1e-3), f"the {kind} vector is {math.hypot(*vector)} long")
        dimensions.add(len(vector))
    require(len(dimensions) == 1, f"photo and sentence have different dimensions: {dimensions}")
    return f"{dimensions.pop()} dimensions"


CHECKS = {"ocr": check_ocr, "face": check_face, "clip": check_clip}


def main() -> int:
    """Runs the checks that the arguments name; 0 when all pass."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--photo", required=True)
    parser.add_argument("--text", required=True)
    parser.add_argument("--timeout", type=float, default=120)
    parser.add_argument("tasks", nargs="+", choices=sorted(CHECKS))
    options = parser.parse_args()
    with open(options.photo, "rb") as file:
        photo = file.read()

    def ask(entries: dict[str, object], kind: str = "visual") -> dict[str, object]:
        return predict(options.url, options.timeout, entries, None if kind == "textual" else photo)

    failed = 0
    for task in options.tasks:
        try:
            print(f"{task}: ok, {CHECKS[task](ask, options.text)}", flush=True)
        except urllib.error.HTTPError as error:
            failed += 1
            print(f"{task}: FAILED, HTTP {error.code}: {error.read().decode(errors='replace')}", flush=True)
        except (AssertionError, KeyError, OSError, ValueError) as error:
            failed += 1
            print(f"{task}: FAILED, {type(error).__name__}: {error}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
