use proptest::prelude::*;

use super::*;

const GB: u64 = 1 << 30;

fn replica(index: i32, bytes: u64) -> Replica {
    Replica { place: Place { topic: "orders".into(), index }, bytes, is_arriving: false }
}

/// Directories of these sizes; what lies in each, by its bytes.
fn disks(broker: i32, directories: &[(u64, &[u64])]) -> Disks {
    let mut index = 0;
    let directories = directories.iter().enumerate().map(|(at, (size, held))| {
        let next = |bytes: &u64| {
            index += 1;
            replica(index - 1, *bytes)
        };
        Directory { path: format!("/disk-{at}").into(), size: *size, replicas: held.iter().map(next).collect() }
    });
    Disks { broker: BrokerId(broker), directories: directories.collect() }
}

fn shift(broker: i32, index: i32, to: &str) -> Shift {
    Shift { broker: BrokerId(broker), place: Place { topic: "orders".into(), index }, to: to.into() }
}

/// Does what is planned until nothing is; the bytes copied, and how many shifts it took.
fn settle(disks: &mut Disks) -> (u64, usize) {
    let (mut copied, mut shifts) = (0, 0);
    while let [shift] = &next(std::slice::from_ref(disks), 10)[..] {
        let holds = |directory: &Directory| directory.replicas.iter().position(|one| one.place == shift.place);
        let (from, at) =
            (0..disks.directories.len()).find_map(|from| Some((from, holds(&disks.directories[from])?))).unwrap();
        let replica = disks.directories[from].replicas.remove(at);
        copied += replica.bytes;
        shifts += 1;
        assert!(shifts <= 10_000, "it never comes to rest: {disks:?}");
        let to = disks.directories.iter_mut().find(|directory| directory.path == shift.to).unwrap();
        to.replicas.push(replica);
    }
    (copied, shifts)
}

#[test]
fn an_added_disk_gets_its_share_and_not_a_byte_is_copied_in_vain() {
    let mut broker = disks(0, &[(100 * GB, &[10 * GB; 8]), (100 * GB, &[])]);
    assert_eq!(next(&[broker.clone()], 10), [shift(0, 0, "/disk-1")]);
    assert_eq!(settle(&mut broker), (40 * GB, 4));
    let mut larger = disks(0, &[(100 * GB, &[10 * GB; 8]), (300 * GB, &[])]);
    assert_eq!(settle(&mut larger), (60 * GB, 6), "a disk thrice as large holds thrice as much");
}

#[test]
fn a_broker_with_one_disk_or_even_ones_is_left_alone() {
    for even in [
        disks(0, &[(100 * GB, &[10 * GB; 8])]),
        disks(0, &[(100 * GB, &[10 * GB]), (100 * GB, &[10 * GB + GB / 2])]),
        disks(0, &[(0, &[GB; 8]), (0, &[])]),
        // The only replica would make the other disk as full as this one is.
        disks(0, &[(100 * GB, &[50 * GB]), (100 * GB, &[])]),
    ] {
        assert_eq!(next(std::slice::from_ref(&even), 10), [], "{even:?}");
    }
}

#[test]
fn little_is_evened_out_on_small_disks_alone() {
    let half = GB / 2;
    assert_eq!(next(&[disks(0, &[(2 * GB, &[half, half]), (2 * GB, &[])])], 1), [shift(0, 0, "/disk-1")]);
    assert_eq!(next(&[disks(0, &[(2000 * GB, &[half, half]), (2000 * GB, &[])])], 1), []);
}

#[test]
fn as_many_go_at_a_time_as_may_and_one_of_a_broker() {
    let uneven = |broker| disks(broker, &[(100 * GB, &[10 * GB; 8]), (100 * GB, &[])]);
    let brokers = |shifts: Vec<Shift>| shifts.iter().map(|shift| shift.broker.0).collect::<Vec<_>>();
    let mut all = [uneven(0), uneven(1), uneven(2)];
    assert_eq!(brokers(next(&all, 2)), [0, 1]);
    all[0].directories[1].replicas.push(Replica { is_arriving: true, ..replica(0, GB) });
    assert_eq!(under_way(&all), 1);
    assert_eq!(brokers(next(&all, 2)), [1]);
    assert_eq!(brokers(next(&all, 9)), [1, 2]);
    assert_eq!(brokers(next(&all, 1)), Vec::<i32>::new());
}

fn any_disks() -> impl Strategy<Value = Disks> {
    let directory = (1..1000_u64, prop::collection::vec(0..40_u64, 0..25));
    prop::collection::vec(directory, 1..6).prop_map(|all| {
        let scaled: Vec<(u64, Vec<u64>)> = all
            .into_iter()
            .map(|(size, held)| (size * GB, held.into_iter().map(|bytes| bytes * GB / 4).collect()))
            .collect();
        disks(0, &scaled.iter().map(|(size, held)| (*size, &held[..])).collect::<Vec<_>>())
    })
}

proptest! {
    #[test]
    fn any_broker_comes_to_rest_with_every_replica_once_and_closer_to_even(mut broker in any_disks()) {
        let all = |disks: &Disks| {
            let mut all: Vec<_> =
                disks.directories.iter().flat_map(|one| one.replicas.iter().map(|one| (one.place.clone(), one.bytes))).collect();
            all.sort();
            all
        };
        // The sum of squares, which every shift lowers: none undoes another.
        let unevenness = |disks: &Disks| {
            excesses(&disks.directories).map_or(0.0, |all| all.into_iter().map(|one| (one as f64).powi(2)).sum::<f64>())
        };
        let (before, uneven) = (all(&broker), unevenness(&broker));
        let must: Excess = excesses(&broker.directories).unwrap_or_default().into_iter().map(|one| one.max(0)).sum();
        let largest = before.iter().map(|(_, bytes)| *bytes).max().unwrap_or(0);
        let (copied, shifts) = settle(&mut broker);
        prop_assert_eq!(all(&broker), before);
        prop_assert!(shifts == 0 || unevenness(&broker) < uneven);
        // All that is copied is above a share, but for what the last of each directory takes too much.
        let bound = Excess::from(largest) * broker.directories.len() as Excess * 2;
        prop_assert!(Excess::from(copied) <= must + bound, "{copied} of {must}");
        prop_assert_eq!(next(&[broker], 10), []);
    }
}
