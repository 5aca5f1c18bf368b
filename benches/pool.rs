//! What it costs to take a buffer and give it back.

mod harness;

use std::hint::black_box;
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use alts::pool::{BufferPool, PooledBuf, Retention};
use criterion::{BenchmarkId, Criterion, Throughput};

const SIZE: usize = 32 << 10;
/// Buffers that are out at a time.
const HELD: [usize; 5] = [1, 4, 16, 64, 256];

fn main() {
    harness::run(&[one_thread, two_threads, held, held_two_threads, unkept]);
}

/// Keeps all that the benchmarks use, so that what is measured is the pool and not the system.
fn warm_pool(buffers: usize) -> BufferPool {
    let pool = BufferPool::builder()
        .retention(Retention::KeepUpTo(buffers * 2 * SIZE))
        .build()
        .expect("the cap holds a buffer");
    let held: Vec<_> = (0..buffers).map(|_| take(&pool)).collect();
    drop(held);
    pool
}

fn take(pool: &BufferPool) -> PooledBuf {
    pool.take(SIZE).expect("far below the cap")
}

/// The baseline: as much memory from the allocator, as little touched.
fn allocate() -> Vec<u8> {
    Vec::with_capacity(black_box(SIZE))
}

/// The least a shared free list can do: a lock, a vector, and two counters.
#[derive(Default)]
struct BareList {
    state: Mutex<BareState>,
}

#[derive(Default)]
struct BareState {
    idle: Vec<Box<[u8]>>,
    in_use: usize,
    hits: u64,
}

impl BareList {
    fn take(&self) -> Box<[u8]> {
        let mut state = self.state.lock().expect("nothing panics under it");
        state.in_use += 1;
        state.hits += 1;
        state.idle.pop().unwrap_or_else(|| vec![0; SIZE].into())
    }

    fn put(&self, buffer: Box<[u8]>) {
        let mut state = self.state.lock().expect("nothing panics under it");
        state.in_use -= 1;
        state.idle.push(buffer);
    }
}

fn one_thread(c: &mut Criterion) {
    let mut group = c.benchmark_group("pool/take_put");
    let pool = warm_pool(2);
    group.bench_function("pool", |b| b.iter(|| drop(black_box(take(&pool)))));
    group.bench_function("pool_frozen", |b| b.iter(|| drop(black_box(take(&pool).freeze()))));
    let bare = BareList::default();
    group.bench_function("mutex_vec", |b| b.iter(|| bare.put(black_box(bare.take()))));
    let shared = Arc::new(0u8);
    group.bench_function("arc_clone_alone", |b| b.iter(|| drop(black_box(Arc::clone(&shared)))));
    group.bench_function("malloc", |b| b.iter(|| drop(black_box(allocate()))));
    group.finish();

    // Up to an eighth of the buffer is copied; the first beyond that is shared.
    let mut group = c.benchmark_group("pool/freeze");
    for len in [64, 1_024, 4_159, 4_160] {
        group.bench_function(len.to_string(), |b| {
            b.iter(|| {
                let mut buffer = take(&pool);
                buffer.truncate(len);
                drop(black_box(buffer.freeze()));
            });
        });
    }
    group.finish();
}

/// Runs `work` in two threads at once and answers the time until both are done.
fn in_two_threads(iterations: u64, work: impl Fn() + Sync) -> Duration {
    let barrier = Barrier::new(3);
    thread::scope(|scope| {
        let threads = [(); 2].map(|()| {
            scope.spawn(|| {
                barrier.wait();
                for _ in 0..iterations {
                    work();
                }
            })
        });
        barrier.wait();
        let start = Instant::now();
        for thread in threads {
            thread.join().expect("the work does not panic");
        }
        start.elapsed()
    })
}

/// Time until each of two threads has taken and put once; the worst case, as nothing is done in
/// between.
fn two_threads(c: &mut Criterion) {
    let mut group = c.benchmark_group("pool/take_put_two_threads");
    let pool = warm_pool(4);
    group.bench_function("pool", |b| {
        b.iter_custom(|n| in_two_threads(n, || drop(black_box(take(&pool)))));
    });
    let bare = BareList::default();
    group.bench_function("mutex_vec", |b| {
        b.iter_custom(|n| in_two_threads(n, || bare.put(black_box(bare.take()))));
    });
    group.bench_function("malloc", |b| {
        b.iter_custom(|n| in_two_threads(n, || drop(black_box(allocate()))));
    });
    group.finish();
}

/// Takes many, then puts them all: what a burst of ready connections does.
fn held(c: &mut Criterion) {
    let mut group = c.benchmark_group("pool/take_put_held");
    for count in HELD {
        group.throughput(Throughput::Elements(count as u64));
        let pool = warm_pool(count);
        group.bench_function(BenchmarkId::new("pool", count), |b| {
            let mut buffers = Vec::with_capacity(count);
            b.iter(|| hold(&mut buffers, count, || take(&pool)));
        });
        group.bench_function(BenchmarkId::new("malloc", count), |b| {
            let mut buffers = Vec::with_capacity(count);
            b.iter(|| hold(&mut buffers, count, allocate));
        });
    }
    group.finish();
}

/// The same in two threads at once, each of which holds that many.
fn held_two_threads(c: &mut Criterion) {
    let mut group = c.benchmark_group("pool/take_put_held_two_threads");
    for count in HELD {
        group.throughput(Throughput::Elements(count as u64));
        let pool = warm_pool(2 * count);
        group.bench_function(BenchmarkId::new("pool", count), |b| {
            b.iter_custom(|n| {
                in_two_threads(n, || {
                    hold(&mut Vec::with_capacity(count), count, || take(&pool));
                })
            });
        });
        group.bench_function(BenchmarkId::new("malloc", count), |b| {
            b.iter_custom(|n| {
                in_two_threads(n, || hold(&mut Vec::with_capacity(count), count, allocate))
            });
        });
    }
    group.finish();
}

fn hold<T>(buffers: &mut Vec<T>, count: usize, mut take: impl FnMut() -> T) {
    buffers.extend((0..count).map(|_| take()));
    black_box(&*buffers);
    buffers.clear();
}

/// What a pool saves: a mapping made for each use, untouched and with one byte written to each
/// page.
fn unkept(c: &mut Criterion) {
    let mut group = c.benchmark_group("pool/never_keep");
    let pool = BufferPool::builder()
        .retention(Retention::NeverKeep)
        .build()
        .expect("the cap holds a buffer");
    group.bench_function("untouched", |b| b.iter(|| drop(black_box(take(&pool)))));
    group.bench_function("touched", |b| {
        b.iter(|| {
            let mut buffer = take(&pool);
            for page in buffer[..SIZE].chunks_mut(4096) {
                page[0] = 1;
            }
            black_box(buffer);
        });
    });
    group.finish();
}
