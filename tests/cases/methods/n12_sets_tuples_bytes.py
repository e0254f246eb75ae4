# META {"args": ["hello"], "slots": {"seen": []}, "expect": [8, "hello", 4, true], "slots_after": {"seen": ["e", "h", "l", "o"]}}
import struct

def pack_word(self, word):
    pair = (word, frozenset(word))
    packed = struct.pack(">Hh4s", len(word), -1, word.encode()[:4])
    self.seen = sorted(pair[1] | set(self.seen))
    self._p_changed = True
    return [len(packed), pair[0], len(self.seen), packed[4:] == b"hell"]
