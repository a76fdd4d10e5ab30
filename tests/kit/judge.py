#!/usr/bin/env python3
"""judge.py - say by machine what a client received (patterns of mkpat.py).

judge.py img FILE...            tiles: who (colour and bar code), where, frame counter
judge.py wav FILE [t0 t1]       tones: who is heard, level in dBFS
judge.py pcap FILE [--list]     RTP streams in a capture on lo; H.264/VP8 ones decoded, per frame
                                arrival time -> fps, gaps, freezes, who is in which tile, latency
judge.py pcapwav FILE OUTDIR    every opus/PCMU/PCMA stream decoded onto the capture's time line, as wav;
                                who is heard in each second of it, and bursts' times (A/V skew)
judge.py dir DIR                img on DIR/snap-*.png + wav on DIR/recv.wav, one JSON; `pictures`: each snapshot's tiles with its
                                wall-clock time, `audio.seconds`: who is heard in each second
Needs: numpy opencv-python-headless av (pip)
"""
import sys, json, wave, glob, struct, os
import numpy as np
import cv2
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from mkpat import PALETTE, TONE, BURST, NB, uncells

_pal = cv2.cvtColor(np.array([[c for _, c in PALETTE]], np.uint8), cv2.COLOR_RGB2YCrCb)[0].astype(float)
PANG = np.arctan2(_pal[:, 2] - 128, _pal[:, 1] - 128)


def read_bar(y, box):
    x0, y0, x1, y1 = box
    w, h = x1 - x0, y1 - y0
    inset = w * 0.0275
    rows = y[y0 + int(h*.38):max(y0 + int(h*.62), y0 + int(h*.38) + 1)]
    line = rows.mean(0)
    for dx0 in (0, -1, 1, -2, 2, -3, 3):
        for dx1 in (0, -1, 1, -2, 2, -3, 3):
            e = np.linspace(x0 + dx0 + inset, x1 + dx1 - inset, NB + 1)
            v = []
            for k in range(NB):
                m = (e[k+1] - e[k]) * .3
                a, b = int(round(e[k] + m)), int(round(e[k+1] - m))
                v.append(line[max(a, 0):max(b, a + 1)].mean() if a < len(line) else 0)
            v = np.array(v)
            thr = (v.max() + v.min()) / 2
            if v.max() - v.min() < 60: return None
            r = uncells((v > thr).astype(int).tolist())
            if r: return r


_c = np.arange(256) - 128.0
_d = np.abs(np.angle(np.exp(1j * (np.arctan2(_c[None, :], _c[:, None])[:, :, None] - PANG))))
_far = np.hypot(_c[:, None], _c[None, :]) > 28
LUT = np.where(_far, _d.argmin(2), 255).astype(np.uint8)      # [Cr, Cb] -> colour id, 255 neutral


def tiles(bgr, min_area=0.008):
    H, W = bgr.shape[:2]
    ycc = cv2.cvtColor(bgr, cv2.COLOR_BGR2YCrCb)
    y = ycc[:, :, 0]
    who = LUT[ycc[:, :, 1], ycc[:, :, 2]]
    cnt = np.bincount(who.ravel(), minlength=256)
    res = []
    for i in range(len(PALETTE)):
        if cnt[i] < min_area * H * W: continue
        m = cv2.morphologyEx((who == i).astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
        n, lab, st, _ = cv2.connectedComponentsWithStats(m)
        for k in range(1, n):
            x, t, w, h, area = map(int, st[k])
            # the picture is 16:9 (4:3 from some); a round card of a site without picture is not
            if area < min_area * H * W or w < 24 or h < 16 or w < 1.15 * h: continue
            n2, lab2, st2, _ = cv2.connectedComponentsWithStats((who[t:t+h, x:x+w] == 255).astype(np.uint8))
            code = None
            for j in sorted(range(1, n2), key=lambda j: -st2[j][4])[:4]:
                bx, by, bw, bh, ba = map(int, st2[j])
                if bw < 0.3 * w or bh < 4 or bw < 40 or bw < 2.5 * bh: continue
                code = read_bar(y, (x + bx, t + by, x + bx + bw, t + by + bh))
                if code: break
            res.append(dict(colour=PALETTE[i][0], colour_id=i, bar_id=code and code[0], n=code and code[1],
                            box=[round(x/W, 3), round(t/H, 3), round((x+w)/W, 3), round((t+h)/H, 3)]))
    res.sort(key=lambda r: (round(r["box"][1], 1), r["box"][0]))
    return res


def tones(s, rate):
    """dBFS of each endpoint's tone, how far it stands out of what is beside it, and who is heard"""
    s = s.astype(np.float64)
    n = len(s)
    if n < rate // 4: return dict(error="too short", secs=n / rate)
    win = np.hanning(n)
    sp = np.abs(np.fft.rfft(s * win)) / win.sum() * 2
    fr = np.fft.rfftfreq(n, 1 / rate)
    lev, out = {}, {}
    for i, f in enumerate(TONE):
        # Who mends his delay plays a little faster or slower meanwhile: up to 2.5 % off its pitch.
        band = np.flatnonzero(np.abs(fr - f) <= 0.027 * f)
        off = np.abs(fr - fr[band[sp[band].argmax()]])
        k = off < 6
        lev[i] = round(float(20 * np.log10(np.sqrt((sp[k] ** 2).sum() / 1.5) + 1e-9)), 1)
        # A tone is a line. A break in other tones (a lost packet) and the codec's noise are as strong beside it as on it.
        beside = np.median(sp[(off > 20) & (off < 54)] ** 2)
        out[i] = round(float(10 * np.log10((sp[k] ** 2).mean() / (beside + 1e-18) + 1e-9)), 1)
    heard = [i for i in lev if lev[i] > -45 and lev[i] > max(lev.values()) - 30 and out[i] > 10]
    rms = 20 * np.log10(np.sqrt((s ** 2).mean()) + 1e-9)
    # fraction of 20 ms blocks that are (nearly) silent: drop-outs
    b = s[: n // (rate // 50) * (rate // 50)].reshape(-1, rate // 50)
    br = np.sqrt((b ** 2).mean(1))
    return dict(secs=round(n / rate, 2), rate=rate, rms_db=round(float(rms), 1), tone_db=lev, stands_out_db=out, heard=heard,
                silent_20ms_blocks=int((br < 0.003).sum()), blocks=len(br), peak=round(float(np.abs(s).max()), 3))


def bursts(s, rate, i):
    """times of the 100 ms bursts of endpoint i"""
    f = BURST[i]
    t = np.arange(len(s)) / rate
    z = s * np.exp(-2j * np.pi * f * t)
    k = max(1, rate // 50)
    e = np.abs(np.convolve(z, np.ones(k) / k, "same"))
    on = e > 0.05
    up = np.flatnonzero(on[1:] & ~on[:-1]) / rate
    keep, last = [], -9
    for u in up:
        if u - last > .5: keep.append(round(float(u), 4)); last = u
    return keep


def load_wav(fn):
    try:
        with wave.open(fn) as w:
            r, c, n = w.getframerate(), w.getnchannels(), w.getnframes()
            d = np.frombuffer(w.readframes(n), "<i2").astype(np.float64) / 32768
    except (wave.Error, EOFError):
        import av
        with av.open(fn) as c0:
            st = c0.streams.audio[0]; r, c = st.rate, 1
            rs = av.AudioResampler("s16", "mono", r)
            d = np.concatenate([x.to_ndarray().reshape(-1) for f in c0.decode(st) for x in rs.resample(f)] or [np.zeros(1)]) / 32768
    return d[: len(d) // c * c].reshape(-1, c).mean(1), r


# ---------------------------------------------------------------- pcap
def packets(fn):
    d = open(fn, "rb").read()
    ns = d[:4] in (b"\x4d\x3c\xb2\xa1", b"\xa1\xb2\x3c\x4d")
    en = "<" if d[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
    link = struct.unpack(en + "I", d[20:24])[0]
    o = 24
    while o + 16 <= len(d):
        s, u, cl, ol = struct.unpack(en + "IIII", d[o:o+16]); o += 16
        p = d[o:o+cl]; o += cl
        t = s + u / (1e9 if ns else 1e6)
        off = {1: 14, 113: 16, 276: 20, 0: 4, 101: 0}[link]
        if len(p) < off + 28 or p[off] >> 4 != 4 or p[off+9] != 17: continue
        ih = (p[off] & 15) * 4
        q = off + ih
        sp, dp, ln = struct.unpack(">HHH", p[q:q+6])
        yield t, sp, dp, p[q+8:q+ln]


def rtp_streams(fn):
    st = {}
    for t, sp, dp, b in packets(fn):
        if len(b) < 12 or b[0] >> 6 != 2 or 200 <= b[1] <= 211 or sp == 53 or dp == 53: continue
        cc, x, pad = b[0] & 15, b[0] >> 4 & 1, b[0] >> 5 & 1
        h = 12 + 4 * cc
        if x:
            if len(b) < h + 4: continue
            h += 4 + 4 * struct.unpack(">H", b[h+2:h+4])[0]
        pl = b[h:len(b) - (b[-1] if pad else 0)]
        seq, ts, ssrc = struct.unpack(">HII", b[2:12])
        st.setdefault((sp, dp, ssrc, b[1] & 127), []).append((t, seq, ts, b[1] >> 7, pl))
    return {k: v for k, v in st.items() if len(v) > 10}


def h264_aus(pk):
    """-> [(time of last packet, ts, annexb, lost)]"""
    out, au, fu, cur, lost, prev = [], b"", b"", None, 0, None
    SC = b"\0\0\0\1"
    for t, seq, ts, m, pl in pk:
        if not pl: continue
        if prev is not None and seq != (prev + 1) & 0xffff:
            if (prev - seq) & 0xffff < 1000: continue          # late or repeated
            lost += 1
        prev = seq
        if cur is not None and ts != cur and au:
            out.append((tl, cur, au, lost)); au, lost = b"", 0
        cur, tl = ts, t
        ty = pl[0] & 31
        if 1 <= ty <= 23: au += SC + pl
        elif ty == 24:
            k = 1
            while k + 2 < len(pl):
                n = pl[k] << 8 | pl[k+1]; au += SC + pl[k+2:k+2+n]; k += 2 + n
        elif ty == 28 and len(pl) > 2:
            if pl[1] & 0x80: fu = SC + bytes([pl[0] & 0xe0 | pl[1] & 31])
            fu += pl[2:]
            if pl[1] & 0x40: au += fu; fu = b""
        if m and au: out.append((t, ts, au, lost)); au, lost, cur = b"", 0, None
    return out


def vp8_aus(pk):
    out, fr, cur, lost, prev = [], b"", None, 0, None
    for t, seq, ts, m, pl in pk:
        if len(pl) < 2: continue
        if prev is not None and seq != (prev + 1) & 0xffff: lost += 1
        prev = seq
        k = 1
        if pl[0] & 0x80:
            x = pl[1]; k = 2
            if x & 0x80: k += 2 if pl[k] & 0x80 else 1
            if x & 0x40: k += 1
            if x & 0x30: k += 1
        if pl[0] & 0x10 and pl[0] & 7 == 0: fr = b""
        fr += pl[k:]
        if m: out.append((t, ts, fr, lost)); fr, lost = b"", 0
    return out


def kind(pk):
    pls = [p[4] for p in pk[:400] if p[4]]
    if not pls: return None
    ts = {p[2] for p in pk}
    if len(ts) == len(pk) and len(pk) > 50:
        step = np.median(np.diff([p[2] for p in pk]).astype(np.int64))
        if step in (160, 320, 80, 480, 960, 1920, 2880, 640): return "audio"
    if any(p[0] & 31 in (7, 5) or (p[0] & 31 == 28 and len(p) > 1 and p[1] & 31 in (5, 7)) or p[0] & 31 == 24 for p in pls) and all(p[0] & 31 in range(1, 30) for p in pls): return "h264"
    if any(p[0] & 0x10 for p in pls): return "vp8"
    return "?"


def analyse_video(pk, k, every=1):
    import av
    aus = h264_aus(pk) if k == "h264" else vp8_aus(pk)
    dec = av.CodecContext.create("h264" if k == "h264" else "vp8", "r")
    dec.thread_count = 1
    try: dec.flags |= 0x80000          # LOW_DELAY
    except Exception: pass
    rec, err = [], 0
    for n, (t, ts, au, lost) in enumerate(aus):
        p = av.Packet(au); p.pts = n
        try:
            for f in dec.decode(p):
                img = f.to_ndarray(format="bgr24")
                rec.append((aus[f.pts][0] if f.pts is not None else t, img.shape[1], img.shape[0], bool(f.key_frame), tiles(img) if (f.pts or n) % every == 0 else None))
        except Exception: err += 1
    return aus, rec, err


def pcap(fn, list_only=False):
    out = []
    for (sp, dp, ssrc, pt), pk in sorted(rtp_streams(fn).items(), key=lambda kv: kv[1][0][0]):
        k = kind(pk)
        seqs = [p[1] for p in pk]
        gaps = sum(1 for a, b in zip(seqs, seqs[1:]) if b != (a + 1) & 0xffff)
        dur = pk[-1][0] - pk[0][0]
        r = dict(src=sp, dst=dp, ssrc=hex(ssrc), pt=pt, kind=k, packets=len(pk), secs=round(dur, 2), seq_gaps=gaps,
                 kbit=round(sum(len(p[4]) for p in pk) * 8 / 1000 / max(dur, .1), 1), t0=pk[0][0])
        if k in ("h264", "vp8") and not list_only:
            aus, rec, err = analyse_video(pk, k)
            t = np.array([a[0] for a in aus])
            if len(t) < 3: out.append(r); continue
            g = np.diff(t) * 1000
            r.update(frames=len(aus), fps=round((len(t) - 1) / (t[-1] - t[0]), 2), gap_ms_p50=round(float(np.median(g)), 1),
                     gap_ms_p99=round(float(np.percentile(g, 99)), 1), gap_ms_max=round(float(g.max()), 1),
                     decode_err=err, decoded=len(rec), key_frames=sum(x[3] for x in rec),
                     sizes=sorted({(x[1], x[2]) for x in rec}), first_decoded_s=round(rec[0][0] - pk[0][0], 3) if rec else None)
            seen = {}
            for tt, w, h, kf, ti in rec:
                for x in ti or ():
                    if x["bar_id"] is not None:
                        seen.setdefault(x["bar_id"], []).append((tt, x["n"], x["box"]))
            r["who"] = {}
            for i, v in seen.items():
                ns = [a[1] for a in v]
                frz, run = 0.0, v[0][0]
                for q, w in zip(v, v[1:]):
                    if w[1] != q[1]: run = w[0]
                    frz = max(frz, w[0] - run)
                r["who"][i] = dict(frames=len(v), new=len(set(ns)), n=[ns[0], ns[-1]], longest_same_s=round(frz, 3), box=v[len(v)//2][2], boxes=len({tuple(round(c, 2) for c in a[2]) for a in v}))
            r["_seen"] = seen
        out.append(r)
    # latency: first arrival of counter n of id i in its own stream -> in any other stream
    own = {}
    for r in out:
        for i, v in r.get("_seen", {}).items():
            if len(r["_seen"]) == 1 and v[0][2][2] - v[0][2][0] > .9:
                if i not in own or r["t0"] < own[i][0]:
                    d = {}
                    for t, n, _ in v: d.setdefault(n, t)
                    own[i] = (r["t0"], d, r["src"], r["dst"])
    for r in out:
        for i, v in r.get("_seen", {}).items():
            if i in own and (r["src"], r["dst"]) != own[i][2:]:
                d = {}
                for t, n, _ in v: d.setdefault(n, t)
                l = [1000 * (d[n] - own[i][1][n]) for n in d if n in own[i][1] and d[n] >= own[i][1][n]]
                if l: r["who"][i]["latency_ms"] = dict(p50=round(float(np.median(l)), 1), p95=round(float(np.percentile(l, 95)), 1), max=round(max(l), 1), n=len(l))
        r.pop("_seen", None)
    return out


def audio_line(pk, t0=None):
    """decode one RTP audio stream onto the time line of the capture (48 kHz mono; arrival order by
    RTP timestamp, placed at first arrival; gaps stay silent)"""
    import av
    step = int(np.median(np.diff(np.array([p[2] for p in pk], np.int64))))
    opus = pk[0][4] and len(pk[len(pk)//2][4]) != step and step >= 480
    clock = 48000 if opus else 8000
    pt = pk[0][5] if len(pk[0]) > 5 else None
    if opus:
        try: dec = av.CodecContext.create("libopus", "r")
        except Exception: dec = av.CodecContext.create("opus", "r")
        dec.sample_rate = 48000; dec.layout = "stereo"
    else:
        dec = av.CodecContext.create("pcm_alaw" if pt == 8 else "pcm_mulaw", "r"); dec.sample_rate = 8000; dec.layout = "mono"
    rs = av.AudioResampler("s16", "mono", 48000)
    base_t = t0 if t0 is not None else pk[0][0]
    out = np.zeros(int((pk[-1][0] - base_t + 1) * 48000), np.float32)
    ts0, at0 = pk[0][2], pk[0][0]
    for p in pk:
        if not p[4]: continue
        try: fr = [x for f in dec.decode(av.Packet(p[4])) for x in rs.resample(f)]
        except Exception: continue
        d = ((p[2] - ts0 + 2**31) % 2**32 - 2**31) / clock
        if abs(at0 + d - p[0]) > 1: ts0, at0, d = p[2], p[0], 0      # time stamps jumped
        k = int(round((at0 + d - base_t) * 48000))
        for f in fr:
            a = f.to_ndarray().reshape(-1).astype(np.float32) / 32768
            if 0 <= k < len(out): out[k:k+len(a)] = a[: max(0, len(out) - k)]
            k += len(a)
    return out


def pcapwav(fn, outdir):
    """adds audio_latency_ms: a burst of id i in its own stream -> in this one, modulo 1 s"""
    rows = list(_pcapwav(fn, outdir))
    own = {}
    for r in rows:
        if len(r["bursts"]) == 1:
            i = next(iter(r["bursts"]))
            if i not in own or r["t0"] < own[i]["t0"]: own[i] = r
    for r in rows:
        r["audio_latency_ms"] = {}
        for i, b in r["bursts"].items():
            o = own.get(i)
            if o is None or o is r or not b or not o["bursts"][i]: continue
            d = [((r["t0"] + x) - (o["t0"] + y)) % 1.0 for x in b for y in o["bursts"][i][:1]]
            r["audio_latency_ms"][i] = round(1000 * float(np.median(d)), 1)
    for r in rows:
        r["bursts"] = {i: len(b) for i, b in r["bursts"].items()}
        yield r


def _pcapwav(fn, outdir):
    os.makedirs(outdir, exist_ok=True)
    st = {k: [p + (k[3],) for p in v] for k, v in rtp_streams(fn).items() if kind(v) == "audio"}
    for (sp, dp, ssrc, pt), pk in st.items():
        if len(pk) < 50: continue
        x = audio_line(pk)
        w = f"{outdir}/audio-{sp}-{dp}-{ssrc:08x}.wav"
        with wave.open(w, "wb") as wf:
            wf.setnchannels(1); wf.setsampwidth(2); wf.setframerate(48000); wf.writeframes((x * 32767).astype("<i2").tobytes())
        secs = [tones(x[i*48000:(i+1)*48000], 48000) for i in range(len(x) // 48000)]
        heard = sorted({i for s in secs for i in s.get("heard", [])})
        yield dict(src=sp, dst=dp, pt=pt, wav=w, t0=pk[0][0], heard_per_s=["".join(map(str, s.get("heard", []))) or "-" for s in secs],
                   bursts={i: bursts(x, 48000, i) for i in heard})


def main():
    m, args = sys.argv[1], sys.argv[2:]
    if m == "img":
        for f in args: print(os.path.basename(f), json.dumps(tiles(cv2.imread(f))))
    elif m == "wav":
        s, r = load_wav(args[0])
        if len(args) > 2: s = s[int(float(args[1]) * r):int(float(args[2]) * r)]
        print(json.dumps(tones(s, r)))
    elif m == "pcap":
        for r in pcap(args[0], "--list" in args): print(json.dumps(r))
    elif m == "pcapwav":
        for r in pcapwav(*args): print(json.dumps(r))
    elif m == "dir":
        d = args[0]; who = {}; read = tot = 0
        sn = sorted(glob.glob(d + "/snap-*.png")); seen = []
        for f in sn:
            img = cv2.imread(f)
            if img is None: continue
            found = tiles(img)
            seen.append(dict(t=round(os.path.getmtime(f), 3), size=[img.shape[1], img.shape[0]],
                             tiles=[dict(colour=x["colour_id"], id=x["bar_id"], n=x["n"], box=x["box"]) for x in found]))
            for x in found:
                tot += 1; read += x["bar_id"] is not None
                w = who.setdefault(x["colour"], dict(bar_ids=set(), n=[], boxes={}))
                if x["bar_id"] is not None: w["bar_ids"].add(x["bar_id"]); w["n"].append(x["n"])
                b = str(x["box"]); w["boxes"][b] = w["boxes"].get(b, 0) + 1
        for w in who.values():
            w["bar_ids"] = sorted(w["bar_ids"]); w["distinct_n"] = len(set(w["n"])); w["n"] = w["n"][:1] + w["n"][-1:]
            w["boxes"] = dict(sorted(w["boxes"].items(), key=lambda kv: -kv[1])[:4])
        r = dict(snaps=len(sn), tiles=tot, bars_read=read, who=who, pictures=seen)
        if os.path.exists(d + "/recv.wav"):
            s, rt = load_wav(d + "/recv.wav"); r["audio"] = tones(s, rt)
            r["audio"]["seconds"] = [tones(s[k*rt:(k+1)*rt], rt).get("heard", []) for k in range(len(s) // rt)]
        print(json.dumps(r))


if __name__ == "__main__":
    main()
