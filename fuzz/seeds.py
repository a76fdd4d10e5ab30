#!/usr/bin/env python3
"""Makes the seeds of the fuzz targets out of the test data of the project.

usage: seeds.py FOLDER [DATA]     fills FOLDER/TARGET, one file per seed, named after its content

DATA: a folder with more (sip/, sdp/, rtp/ in it) that may be read and not be copied; what grows out of it may not be committed either.
"""
import hashlib
import pathlib
import re
import struct
import sys

HERE = pathlib.Path(__file__).resolve().parent
PROJECT = HERE.parent
MORE = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else None
SEP = b"\x1e"


def files(own, more):
    for folder in [PROJECT / own] + ([MORE / more] if MORE else []):
        if folder.is_dir():
            yield from sorted(p for p in folder.rglob("*") if p.is_file() and p.suffix not in (".md", ".json"))


def crlf(data):
    return re.sub(rb"\r?\n", b"\r\n", data)


def messages():
    for path in files("crates/sip/tests/data", "sip"):
        yield path.read_bytes()
        if path.suffix == ".txt":
            yield crlf(path.read_bytes())


def descriptions():
    for path in files("crates/sip/tests/sdp", "sdp"):
        if path.suffix == ".sdp":
            yield crlf(path.read_bytes())


SDP = "v=0\no=- 1 1 IN IP4 192.0.2.1\ns=-\nt=0 0\n"
ALLOW = "Allow: INVITE, ACK, BYE, CANCEL, UPDATE, PRACK, INFO\n"


def text(head, body=""):
    kind = "Content-Type: application/sdp\n" if body and "Content-Type" not in head else ""
    whole = f"{head}{kind}Content-Length: {len(crlf(body.encode()))}\n\n{body}"
    return crlf(whole.encode())


def request(method, cseq=1, to="", extra="", body="", branch=None, transport="UDP"):
    return text(
        f"{method} sip:8000@192.0.2.2 SIP/2.0\nVia: SIP/2.0/{transport} 192.0.2.1:5060;branch=z9hG4bK{branch or method + str(cseq)}\n"
        f"Max-Forwards: 70\nFrom: <sip:site@192.0.2.1>;tag=a\nTo: <sip:8000@192.0.2.2>{to}\nCall-ID: c\nCSeq: {cseq} {method}\n"
        f"Contact: <sip:site@192.0.2.1:5060>\n{extra}",
        body,
    )


def inside(method, cseq, extra="", body="", branch=None):
    return request(method, cseq, ";tag={tag}", extra, body, branch)


def response(status, to=";tag=b", extra="", body=""):
    return text(
        f"SIP/2.0 {status} X\nVia: {{via}}\nFrom: {{from}}\nTo: {{to}}{to}\nCall-ID: {{callid}}\nCSeq: {{cseq}}\n"
        f"Contact: <sip:site@192.0.2.1:5060>\n{extra}",
        body,
    )


def called_back(method, cseq, extra="", body=""):
    return text(
        f"{method} sip:mcu@192.0.2.2 SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK{method}{cseq}\nMax-Forwards: 70\n"
        f"From: {{to}}\nTo: {{from}}\nCall-ID: {{callid}}\nCSeq: {cseq} {method}\nContact: <sip:site@192.0.2.1:5060>\n{extra}",
        body,
    )


def u(data, which=0):
    return b"U" + bytes([which]) + data


def tcp(data, which=1):
    return b"T" + bytes([which]) + data


def wait(n):
    return b"W\0" + bytes([n])


def do(n, which=0):
    return b"C" + bytes([which, n])


def scripts():
    """Calls from beginning to end; what the owner does is numbered as in src/sip.rs."""
    timer = "Supported: timer, 100rel\nSession-Expires: 90;refresher=uac\n" + ALLOW
    ack = u(inside("ACK", 1))
    up = [u(request("INVITE", body=SDP, extra=timer)), ack]
    yield up + [u(inside("BYE", 2))]
    yield up + [u(inside("INVITE", 2, body=SDP)), u(inside("ACK", 2)), u(inside("UPDATE", 3, body=SDP)), do(3)]
    yield up + [u(inside("UPDATE", 2, extra=timer)), wait(30), wait(30), u(inside("INFO", 3, "Content-Type: application/dtmf\n", "5"))]
    yield up + [do(4), u(response(491, "")), wait(5), u(response(200, "", body=SDP)), do(6), u(response(200, "", body=SDP)), do(3)]
    yield up + [do(5), u(response(200, "", body=SDP)), do(3)]
    yield [b"S\1", u(request("INVITE", extra="Require: 100rel\n" + ALLOW, body=SDP)), do(8),
           u(inside("PRACK", 2, "RAck: {rseq} 1 INVITE\n", SDP)), do(11), do(9), ack, do(6), u(response(200, "", body=SDP)), do(3)]
    yield [b"S\1", u(request("INVITE", extra="Supported: 100rel\n")), do(8), u(inside("PRACK", 2, "RAck: {rseq} 1 INVITE\n", SDP)), do(9), ack]
    yield [b"S\1", u(request("INVITE", body=SDP)), do(7), wait(9), u(request("CANCEL", branch="INVITE1"))]
    yield [b"S\1", u(request("INVITE")), do(9), u(inside("ACK", 1, body=SDP)), do(14), u(inside("INVITE", 2)), do(11), wait(40)]
    rel = "Require: 100rel\nRSeq: 1\n" + ALLOW
    yield [do(0), u(response(100, "")), u(response(183, extra=rel, body=SDP)), u(response(200)), wait(1)]
    yield [do(0), u(response(180)), u(response(180, ";tag=c")), u(response(200, body=SDP)), u(response(200, ";tag=c", body=SDP)), do(3)]
    yield [do(0), u(response(183, extra=rel, body=SDP)), u(called_back("UPDATE", 1, body=SDP)), do(3), u(response(487))]
    yield [do(2), u(response(183, extra=rel, body=SDP)), do(13), u(response(200)), do(3)]
    yield [do(2), u(response(200, body=SDP)), do(13), u(called_back("BYE", 1))]
    yield [do(0), u(response(422, extra="Min-SE: 1800\n")), u(response(200, extra="Session-Expires: 90;refresher=uac\n" + ALLOW, body=SDP)), wait(30), wait(30)]
    yield [do(0), u(response(302, extra="Contact: <sip:x@192.0.2.9>\n"))]
    yield [do(1), b"K\0", tcp(response(200, body=SDP), 0), do(3), b"X\0"]
    yield [do(1), b"F\0"]
    yield [tcp(request("INVITE", body=SDP, transport="TCP")), tcp(inside("ACK", 1)), b"X\1", do(3), b"F\0"]
    yield [tcp(b"\r\n\r\n"), tcp(request("OPTIONS", transport="TCP")[:80]), tcp(request("OPTIONS", transport="TCP")[80:]), wait(20)]
    yield [u(request("OPTIONS", extra="Require: x\n")), u(request("REGISTER")), u(request("SUBSCRIBE", extra="Event: conference\n"))]
    multipart = "--b\nContent-Type: text/plain\n\nx\n--b\nContent-Type: application/sdp\n\n" + SDP + "--b--\n"
    yield [u(request("INVITE", extra="Content-Type: multipart/mixed;boundary=b\nSession-ID: ab30317f1a784dc48ff824d0d3715d86;remote=00000000000000000000000000000000\n", body=multipart)), ack]


def records(items):
    return b"".join(bytes([kind]) + struct.pack(">H", len(data)) + data for kind, data in items)


def packets(pcap):
    data = pcap.read_bytes()
    order = "<" if data[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
    link, at = struct.unpack(order + "I", data[20:24])[0], 24
    skip = {0: 4, 1: 14, 101: 0, 113: 16, 228: 0}.get(link, 14)
    while at + 16 <= len(data):
        size = struct.unpack(order + "I", data[at + 8:at + 12])[0]
        frame, at = data[at + 16 + skip:at + 16 + size], at + 16 + size
        if frame and frame[0] >> 4 == 4 and frame[9] == 17:
            yield frame[(frame[0] & 15) * 4 + 8:]
        elif frame and frame[0] >> 4 == 6 and frame[6] == 17:
            yield frame[48:]


def rtp_data():
    yield from files("crates/rtp/tests/data", "rtp")


def rtp_sessions():
    for path in rtp_data():
        if path.suffix == ".pcap":
            some = list(packets(path))[:60]
            yield records([(0, p) for p in some] + [(5, b"x" * 50), (3, b"\0\1")])
        elif path.stat().st_size < 10_000:
            data = path.read_bytes()
            yield records([(0, data), (5, b"x" * 50)])
            yield records([(1, data), (4, b"abc"), (2, data), (7, b"")])


def h264():
    for path in rtp_data():
        if path.suffix != ".pcap" or "264" not in path.name:
            continue
        some = list(packets(path))
        for start in range(0, min(len(some), 300), 60):
            out, last = [], None
            for p in some[start:start + 60]:
                if len(p) < 13:
                    continue
                stamp = p[4:8]
                kind = 0xF0 | (p[1] >> 7) | (2 if last not in (None, stamp) else 0)
                out.append((kind, p[12:]))
                last = stamp
            yield records(out)
    sps, pps, idr = bytes.fromhex("6742c01fd9005005bb011000000300100000030320f183248001"), bytes.fromhex("68cb83cb20"), b"\x65\x88" + b"x" * 30
    stap = b"\x78" + b"".join(struct.pack(">H", len(n)) + n for n in (sps, pps))
    fu = [b"\x7c\x85" + idr[1:12], b"\x7c\x05" + idr[12:20], b"\x7c\x45" + idr[20:]]
    yield records([(0xF0, sps), (0xF0, pps), (0xF1, idr)])
    yield records([(0xF0, stap)] + [(0xF0, f) for f in fu[:-1]] + [(0xF1, fu[-1]), (0x03, idr), (0x50, b"x" * 100)])


def sound():
    silence = [b"\xf8\xff\xfe", b"\xfc\xff\xfe" * 3, b"\x08" + bytes(range(40)), b"\x6b\x02" + bytes(range(60)), b"\x03\x41" + b"z" * 20]
    for which in range(4):
        payloads = silence if which == 0 else [bytes(range(160)), b"\xd5" * 160, b"\x00" * 80, b"x" * 240]
        yield bytes([which]) + records([(0, p) for p in payloads] + [(1, payloads[0]), (2, payloads[-1]), (3, b"")])


def control():
    """Conversations of the control protocol; kinds as in src/cascade.rs."""
    def text(body):
        return ('{"session":{s},"seq":{n},' + body + "}").encode()

    slave = [
        '"type":"tree","version":3,"done":true,"entries":[{"path":"a/b/c","kind":"mcu","name":"C","slots":[{"site":"a/b/c/x","by":"Lan"},{}],"floor":"Lan"},'
        '{"path":"a/b/c/x","kind":"site","name":"X","line":"connected","grade":"good","level":2,"hand":true},{"path":"a/b/c/y","kind":"foreign","line":"idle"}]',
        '"type":"tree","base":3,"version":4,"done":true,"entries":[{"path":"a/z","kind":"site"}],"gone":["a/b/c/y"]',
        '"type":"tree","base":9,"version":10', '"type":"tree","version":7,"entries":[]',
        '"type":"policy","pictures":true,"sound":false,"slots":1,"closed":["a/b/c/y"]', '"type":"token-request"',
        '"type":"step","order":{o},"name":"route","mcu":"a/b/c","after_ms":12', '"type":"ready","order":{o}',
        '"type":"failed","order":{o},"step":"keyframe","mcu":"a/b/c","vi":"hỏng","en":"broken"',
        '"type":"failed","order":{o},"step":"find","mcu":"a/b/c","vi":"x","en":"x"',
        '"type":"progress","order":{o},"total":9,"connected":3,"failed":1', '"type":"refusal","to":1,"code":"x","vi":"x","en":"x"',
        '"type":"ping","id":1', '"type":"pong","id":1', '"type":"teleport","to":{"deep":[[1]]}',
    ]
    master = [
        '"type":"open","order":1,"slot":0,"site":"a/b/xa-hoa-phu","by":"Lan","deadline_ms":9000',
        '"type":"open","order":2,"slot":0,"site":"a/b/c/x","prepare":true,"by":"Lan","deadline_ms":9000',
        '"type":"open","order":3,"slot":0,"site":"a/b/c/x","by":"Lan","deadline_ms":9000', '"type":"open","order":4,"slot":7,"site":"a/q","by":"","deadline_ms":0',
        '"type":"abort","order":3', '"type":"abort","order":1', '"type":"close","slot":0', '"type":"tree-ack","version":3', '"type":"resync"',
        '"type":"token","token":"00112233445566778899aabbccddeeff"', '"type":"floor","mcu":"a/b","by":"Lan"', '"type":"floor","mcu":"a/b/c"',
        '"type":"call","order":5,"under":"a","priority":3',
    ]
    # Two masters: 0x47 says something as the master, the others as in src/cascade.rs.
    other = [
        '"type":"replica","version":4,"records":[{"key":"node","text":"{\\"term\\":1,\\"screens\\":[[\\"all\\",\\"hue/x\\",\\"Lan\\"]]}"},{"key":"slave/hue","text":"up"}]',
        '"type":"replica","base":4,"version":5,"done":true,"records":[{"key":"room/0","text":"{}"}]', '"type":"replica","base":5,"version":6,"done":true,"gone":["room/0"]',
        '"type":"replica","base":9,"version":10,"done":true', '"type":"replica-ack","version":3', '"type":"replica-resync"', '"type":"take","by":"Lan","force":true',
        '"type":"yield","term":3,"by":"Lan"', '"type":"refusal","to":1,"code":"not-in-step","vi":"x","en":"x"', '"type":"ping","id":1', '"type":"wait"', '"type":"moved"',
        '"type":"peer","versions":[1,1],"instance":5,"path":"","name":"X","room":"","term":9,"commands":true', '"type":"teleport"',
    ]
    copied = [(0x47, text(body)) for body in other[:3]]
    gone = copied + [(0x40, b""), (0x45, b"\2"), (0x42, b"\x40"), (0x42, b"\x40")]
    yield records(gone)
    yield records(gone + [(0x41, b"\1"), (0x41, b"\x09"), (0x44, b"\1")] + [(0x47, text(body)) for body in other])
    for body in other:
        yield records(copied + [(0x47, text(body)), (0x46, b"\1x"), (0x43, b"\1"), (0x42, b"\x60")])
    yield records(copied + [(0x43, b"\0"), (0x47, text(other[7])), (0x46, b"\1x"), (0x45, b"\1"), (0x44, b"\5"), (0x42, b"\x50"), (0x43, b"\1")])
    begun = [(0, text(slave[0]))]
    passed = [(6, b"\3\0"), (6, b"\4\0")]
    for said in slave[1:]:
        yield records(begun + [(7, b"\0\0"), (0, text(said)), (5, b"x" * 50)])
        yield records(begun + [(2, text(master[2])), (0, text(said))] + passed + [(5, b"x" * 50)])
    for said in master:
        yield records(begun + [(2, text(master[0]))] + passed + [(2, text(said))] + passed + [(5, b"x" * 200)])
        yield records(begun + [(2, text(master[1])), (2, text(said))] + passed + [(2, text(master[6]))])
    hello = '{"session":0,"seq":1,"type":"hello","versions":[1,1],"capabilities":["x"],"instance":3,"path":"a/b/d","name":"D","room":"","term":0,"slots":4}'
    yield records([(4, hello.encode()), (4, hello.replace("a/b/d", "a/b").encode()), (4, hello.replace('"term":0', '"term":9').encode())])
    for n in range(8):
        yield records(begun + [(7, bytes([n, 1])), (7, bytes([n, 16])), (7, b"\1\3"), (7, bytes([n, 2])), (5, b"x" * 150)] + passed + [(7, b"\4\0")])
        yield records(begun + [(2, text(master[0])), (6, bytes([n, 5]) + "Xã Ea Tu".encode()), (6, bytes([n, 0])), (5, b"x" * 100), (6, bytes([n, 3]))])


def streams():
    for piece, data in enumerate(messages()):
        yield bytes([piece % 256]) + data
    together = b"\r\n\r\n" + request("OPTIONS", transport="TCP") + request("INVITE", body=SDP, transport="TCP")
    yield b"\0" + together
    yield b"\x20" + together + request("BYE", 2, extra="Content-Length: 70000\n")


SEEDS = {
    "sip_endpoint": lambda: list(messages()) + [SEP + SEP.join(s) for s in scripts()],
    "sip_stream": streams,
    "sdp_offer": descriptions,
    "sdp_answer": descriptions,
    "rtp_session": rtp_sessions,
    "h264": h264,
    "cascade": control,
    "opus_g7xx": sound,
}


def main(root):
    for target, seeds in SEEDS.items():
        folder = pathlib.Path(root) / target
        folder.mkdir(parents=True, exist_ok=True)
        made = {hashlib.sha1(seed).hexdigest(): seed for seed in seeds()}
        for name, seed in made.items():
            (folder / name).write_bytes(seed)
        print(f"{target}: {len(made)} seeds")


main(sys.argv[1])
