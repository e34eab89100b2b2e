//! Random numbers of the operating system. They are fetched many at a time, since a bulk send needs millions.

use std::convert::Infallible;

use rand::rngs::SysRng;
use rand::{TryCryptoRng, TryRng};

const BUFFER: usize = 4096;

/// The operating system's random source. Each byte is used once, and then wiped from the buffer.
pub struct SystemRandom {
    buffer: Box<[u8; BUFFER]>,
    used: usize,
}

impl Default for SystemRandom {
    fn default() -> Self {
        Self { buffer: Box::new([0; BUFFER]), used: BUFFER }
    }
}

impl SystemRandom {
    /// Returns the next `N` bytes. Panics if the operating system no longer has the random numbers that it had when the program
    /// started, since no code is safe without them.
    fn next<const N: usize>(&mut self) -> [u8; N] {
        if BUFFER - self.used < N {
            SysRng.try_fill_bytes(&mut *self.buffer).expect("the system has random numbers");
            self.used = 0;
        }
        let mut bytes = [0; N];
        let fresh = &mut self.buffer[self.used..self.used + N];
        bytes.copy_from_slice(fresh);
        fresh.fill(0);
        self.used += N;
        bytes
    }
}

impl TryRng for SystemRandom {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_ne_bytes(self.next()))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_ne_bytes(self.next()))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.fill_with(|| self.next::<1>()[0]);
        Ok(())
    }
}

impl TryCryptoRng for SystemRandom {}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;

    #[test]
    fn no_bytes_come_twice_and_used_ones_are_wiped() {
        let mut random = SystemRandom::default();
        let mut known = std::collections::HashSet::new();
        for _ in 0..2 * BUFFER {
            assert!(known.insert(random.random::<u128>()));
        }
        let rest = random.used;
        assert!(random.buffer[..rest].iter().all(|byte| *byte == 0));
    }
}
