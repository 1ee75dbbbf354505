# SPDX-License-Identifier: Apache-2.0
"""A pprof encoder and decoder for the tests, written from profile.proto alone: an oracle that shares no
code with the product."""


def varint(value):
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(number, value):
    if isinstance(value, bytes):
        return varint(number << 3 | 2) + varint(len(value)) + value
    return varint(number << 3) + varint(value)


class Profile:
    """mappings: (start, limit, offset, filename, build_id); locations: (mapping id, address)."""

    def __init__(self, sample_type=("cpu", "nanoseconds"), time_nanos=0):
        self.strings = [""]
        self.parts = []
        self.time_nanos = time_nanos
        self.mapping_count = self.location_count = 0
        self.add(1, field(1, self.text(sample_type[0])) + field(2, self.text(sample_type[1])))

    def text(self, string):
        if string not in self.strings:
            self.strings.append(string)
        return self.strings.index(string)

    def add(self, number, message):
        self.parts.append(field(number, message))

    def mapping(self, filename, build_id="", start=0, limit=0, offset=0):
        self.mapping_count += 1
        self.add(3, field(1, self.mapping_count) + field(2, start) + field(3, limit) + field(4, offset) +
                 field(5, self.text(filename)) + field(6, self.text(build_id)))
        return self.mapping_count

    def location(self, mapping, address):
        self.location_count += 1
        self.add(4, field(1, self.location_count) + field(2, mapping) + field(3, address))
        return self.location_count

    def sample(self, locations, value, **labels):
        # packed, as proto3 has it and every producer writes it
        body = field(1, b"".join(varint(l) for l in locations)) + field(2, varint(value))
        for key, text in labels.items():
            body += field(3, field(1, self.text(key)) + field(2, self.text(text)))
        self.add(2, body)

    def encode(self):
        tail = b""
        if self.time_nanos:
            tail += field(9, self.time_nanos) + field(10, 1_000_000_000)
        tail += field(11, field(1, self.text("cpu")) + field(2, self.text("nanoseconds"))) + field(12, 10_000_000)
        return b"".join(self.parts) + b"".join(field(6, s.encode()) for s in self.strings) + tail


def read_varint(data, at):
    shift = value = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def fields(data):
    at = 0
    while at < len(data):
        key, at = read_varint(data, at)
        if key & 7 == 0:
            value, at = read_varint(data, at)
        elif key & 7 == 2:
            size, at = read_varint(data, at)
            value, at = data[at:at + size], at + size
        elif key & 7 == 1:
            value, at = data[at:at + 8], at + 8
        else:
            value, at = data[at:at + 4], at + 4
        yield key >> 3, value


def message(data):
    found = {}
    for number, value in fields(data):
        found.setdefault(number, []).append(value)
    return found


def packed(values):
    out = []
    for value in values:
        if isinstance(value, int):
            out.append(value)
        else:
            at = 0
            while at < len(value):
                one, at = read_varint(value, at)
                out.append(one)
    return out


def label(strings, raw):
    m = message(raw)
    return strings[m[1][0]], strings[m[2][0]] if 2 in m else m.get(3, [0])[0]


def decode(data):
    """{"samples": [([location ids], [values])], "locations": {id: {"address", "mapping", "lines"}}, ...};
    a line is (function name, system name, file, line, start line); "labels": of each sample {key: text or number}."""
    top = message(data)
    strings = [s.decode() for s in top.get(6, [])]
    functions = {}
    for raw in top.get(5, []):
        m = message(raw)
        one = lambda n, m=m: m.get(n, [0])[0]
        functions[one(1)] = (strings[one(2)], strings[one(3)], strings[one(4)], one(5))
    locations = {}
    for raw in top.get(4, []):
        m = message(raw)
        lines = []
        for line in m.get(4, []):
            l = message(line)
            name, system, file, start = functions[l.get(1, [0])[0]]
            lines.append((name, system, file, l.get(2, [0])[0], start))
        locations[m[1][0]] = {"address": m.get(3, [0])[0], "mapping": m.get(2, [0])[0], "lines": lines}
    mappings = {}
    for raw in top.get(3, []):
        m = message(raw)
        mappings[m[1][0]] = {"filename": strings[m.get(5, [0])[0]], "build_id": strings[m.get(6, [0])[0]],
                             "has_functions": bool(m.get(7, [0])[0]), "has_filenames": bool(m.get(8, [0])[0]),
                             "has_line_numbers": bool(m.get(9, [0])[0]),
                             "has_inline_frames": bool(m.get(10, [0])[0])}
    raw_samples = list(map(message, top.get(2, [])))
    samples = [(packed(m.get(1, [])), packed(m.get(2, []))) for m in raw_samples]
    labels = [dict(label(strings, raw) for raw in m.get(3, [])) for m in raw_samples]
    return {"samples": samples, "labels": labels, "locations": locations, "mappings": mappings, "strings": strings}
