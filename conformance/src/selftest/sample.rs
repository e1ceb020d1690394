//! A sample that is the same for the same seed.

use std::hash::{DefaultHasher, Hash, Hasher};

/// Keeps about so many of all items, chosen by the seed alone.
pub(super) fn thin<K: Hash, T>(groups: &mut Vec<(K, Vec<T>)>, most: usize, seed: u64) {
    let total: usize = groups.iter().map(|(_, items)| items.len()).sum();
    if total <= most {
        return;
    }
    for (key, items) in groups.iter_mut() {
        let mut index = 0_u64;
        items.retain(|_| {
            index += 1;
            let mut hasher = DefaultHasher::new();
            (seed, &*key, index).hash(&mut hasher);
            let (most, total) = (
                u64::try_from(most).unwrap_or(u64::MAX),
                u64::try_from(total).unwrap_or(u64::MAX),
            );
            hasher.finish() % total < most
        });
    }
    groups.retain(|(_, items)| !items.is_empty());
}

#[cfg(test)]
mod tests {
    use super::thin;

    #[test]
    fn a_sample_is_about_as_large_as_asked_and_the_same_again() {
        let all = || -> Vec<(usize, Vec<usize>)> {
            (0..100).map(|key| (key, (0..50).collect())).collect()
        };
        let (mut one, mut other, mut third) = (all(), all(), all());
        thin(&mut one, 500, 7);
        thin(&mut other, 500, 7);
        thin(&mut third, 500, 8);
        let count: usize = one.iter().map(|(_, items)| items.len()).sum();
        assert!((400..600).contains(&count), "{count}");
        assert_eq!(one, other);
        assert_ne!(one, third);
    }
}
