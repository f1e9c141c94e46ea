"""C++'s std::mt19937_64 started by a std::seed_seq, as its standard defines them (rand.util.seedseq, rand.eng.mers)."""


def seed_seq(seeds: list[int], count: int) -> list[int]:
    """What std::seed_seq::generate gives: `count` 32-bit numbers."""
    s, mask = len(seeds), 0xFFFFFFFF
    t = 11 if count >= 623 else 7 if count >= 68 else 5 if count >= 39 else 3 if count >= 7 else (count - 1) // 2
    p, m = (count - t) // 2, max(s + 1, count)
    q, b = p + t, [0x8B8B8B8B] * count
    scramble = lambda x: x ^ (x >> 27)
    for k in range(m):
        r1 = 1664525 * scramble(b[k % count] ^ b[(k + p) % count] ^ b[(k - 1) % count]) & mask
        r2 = r1 + (s if k == 0 else k % count + seeds[k - 1] if k <= s else k % count) & mask
        b[(k + p) % count] = b[(k + p) % count] + r1 & mask
        b[(k + q) % count] = b[(k + q) % count] + r2 & mask
        b[k % count] = r2
    for k in range(m, m + count):
        r3 = 1566083941 * scramble(b[k % count] + b[(k + p) % count] + b[(k - 1) % count] & mask) & mask
        r4 = r3 - k % count & mask
        b[(k + p) % count] ^= r3
        b[(k + q) % count] ^= r4
        b[k % count] = r4
    return b


class Mt19937_64:
    """Seeds are 32-bit numbers."""

    N, M, LOW = 312, 156, (1 << 31) - 1
    MASK = (1 << 64) - 1

    def __init__(self, seeds: list[int]):
        words = seed_seq(seeds, 2 * self.N)
        self.state = [words[2 * i] | words[2 * i + 1] << 32 for i in range(self.N)]
        if self.state[0] >> 31 == 0 and not any(self.state[1:]):
            self.state[0] = 1 << 63
        self.place = self.N

    def next(self) -> int:
        """The next 64-bit number."""
        if self.place == self.N:
            for i in range(self.N):
                y = (self.state[i] & ~self.LOW & self.MASK) | (self.state[(i + 1) % self.N] & self.LOW)
                self.state[i] = self.state[(i + self.M) % self.N] ^ (y >> 1) ^ (0xB5026F5AA96619E9 if y & 1 else 0)
            self.place = 0
        y = self.state[self.place]
        self.place += 1
        y ^= (y >> 29) & 0x5555555555555555
        y ^= (y << 17) & 0x71D67FFFEDA60000
        y ^= (y << 37) & 0xFFF7EEE000000000
        return (y ^ (y >> 43)) & self.MASK
