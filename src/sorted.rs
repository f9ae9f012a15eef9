//! Sorting, and sorted collections, in little code: the one machine that sorts for all types. Knows no other room.
//!
//! The library's `sort`, and its `collect` into a map or a set, which sorts first, are made anew for every type, at
//! 5 kB each, and were a fifteenth of the program. Here the machine sorts places, and what differs between types is
//! no more than how two items are compared and exchanged.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::mem;

/// Sorts as `sort` of a slice does: equal items keep their order.
pub(crate) fn sort<T: Ord>(items: &mut [T]) {
    sort_by(items, T::cmp);
}

/// Sorts as `sort_by_key` of a slice does: items with equal keys keep their order.
pub(crate) fn sort_by_key<T, K: Ord>(items: &mut [T], key: impl Fn(&T) -> K) {
    sort_by(items, |one, other| key(one).cmp(&key(other)));
}

/// Sorts as `sort_by` of a slice does: equal items keep their order.
pub(crate) fn sort_by<T>(items: &mut [T], order: impl Fn(&T, &T) -> Ordering) {
    if items.len() > 1 {
        let places = places(items.len(), &|one, other| order(&items[one], &items[other]));
        arrange(places, &mut |one, other| items.swap(one, other));
    }
}

/// Where each item of the sorted order stands now.
fn places(count: usize, order: &dyn Fn(usize, usize) -> Ordering) -> Vec<usize> {
    let mut places: Vec<usize> = (0..count).collect();
    places.sort_by(|one, other| order(*one, *other));
    places
}

/// Brings every item to its place: each circle of places is gone round once.
fn arrange(mut places: Vec<usize>, swap: &mut dyn FnMut(usize, usize)) {
    for start in 0..places.len() {
        let mut place = start;
        loop {
            let from = mem::replace(&mut places[place], place);
            if from == start {
                break;
            }
            swap(place, from);
            place = from;
        }
    }
}

/// Sorted collections, filled one item after the other.
pub(crate) trait Sorted: Iterator + Sized {
    /// What `collect` makes, as a set.
    fn sorted_set(self) -> BTreeSet<Self::Item>
    where
        Self::Item: Ord,
    {
        let mut set = BTreeSet::new();
        for item in self {
            set.insert(item);
        }
        set
    }

    /// What `collect` makes, as a map: of values with the same key the last one counts.
    fn sorted_map<K: Ord, V>(self) -> BTreeMap<K, V>
    where
        Self: Iterator<Item = (K, V)>,
    {
        let mut map = BTreeMap::new();
        for (key, value) in self {
            map.insert(key, value);
        }
        map
    }
}

impl<I: Iterator> Sorted for I {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_items_keep_their_order_as_the_librarys_sort_keeps_it() {
        // Numbers that look random, few enough different ones that many are equal, in slices of every small size.
        let numbers = (0_u32..).map(|n| n.wrapping_mul(2_654_435_761) >> 28);
        for count in (0..70).chain([1_000]) {
            let mut ours: Vec<(u32, usize)> = numbers.clone().take(count).zip(0..).collect();
            let mut librarys = ours.clone();
            sort_by_key(&mut ours, |(number, _)| *number);
            librarys.sort_by_key(|(number, _)| *number);
            assert_eq!(ours, librarys, "{count} items");
            sort_by(&mut ours, |one, other| other.cmp(one));
            librarys.sort_by(|one, other| other.cmp(one));
            assert_eq!(ours, librarys, "{count} items backwards");
            sort(&mut ours);
            librarys.sort();
            assert_eq!(ours, librarys, "{count} items forwards");
        }
    }

    #[test]
    fn a_collection_is_what_collect_makes() {
        let pairs = [(3, 'a'), (1, 'b'), (3, 'c'), (2, 'd')];
        let collected: BTreeMap<i32, char> = pairs.into_iter().collect();
        assert_eq!(pairs.into_iter().sorted_map(), collected);
        let collected: BTreeSet<(i32, char)> = pairs.into_iter().collect();
        assert_eq!(pairs.into_iter().sorted_set(), collected);
    }
}
