use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use tidegate_pools::{CpuPool, Job, JobError, Priority, SubmitError};

use crate::gate;

fn pool(queue: usize) -> CpuPool {
    CpuPool::builder().threads(1).queue(queue).build().expect("a thread can be started")
}

#[tokio::test]
async fn an_urgent_job_overtakes_those_that_wait() {
    let pool = pool(16);
    let (open, started, job) = gate();
    let first = pool.try_submit(Priority::Normal, job).expect("there is room");
    started.recv().expect("it starts");
    let order = Arc::new(Mutex::new(Vec::new()));
    let jobs: Vec<_> = [Priority::Low, Priority::Normal, Priority::Critical, Priority::High]
        .into_iter()
        .map(|priority| {
            let order = Arc::clone(&order);
            pool.try_submit(priority, move || order.lock().unwrap().push(priority))
                .expect("there is room")
        })
        .collect();
    drop(open);
    first.await.expect("it ends");
    for job in jobs {
        job.await.expect("it ends");
    }
    assert_eq!(
        *order.lock().unwrap(),
        [Priority::Critical, Priority::High, Priority::Normal, Priority::Low]
    );
}

/// Critical jobs, each of which submits the next before it ends, until it is over.
struct Flood {
    pool: CpuPool,
    over: AtomicBool,
    starts: AtomicU32,
    /// A job whose handle is dropped would be cancelled.
    jobs: Mutex<Vec<Job<()>>>,
}

impl Flood {
    fn submit(self: &Arc<Self>) {
        let flood = Arc::clone(self);
        let job = self.pool.try_submit(Priority::Critical, move || {
            // ORDERING: Relaxed here and below; one thread runs all jobs, and may see the end late.
            flood.starts.fetch_add(1, Ordering::Relaxed);
            if !flood.over.load(Ordering::Relaxed) {
                flood.submit();
            }
        });
        self.jobs.lock().expect("nothing panics under it").push(job.expect("there is room"));
    }
}

#[tokio::test]
async fn a_low_job_is_served_within_the_stated_bound_while_critical_ones_never_end() {
    let (over, starts, jobs) = Default::default();
    let flood = Arc::new(Flood { pool: pool(64), over, starts, jobs });
    let (open, started, job) = gate();
    let first = flood.pool.try_submit(Priority::Normal, job).expect("there is room");
    started.recv().expect("it starts");
    (0..4).for_each(|_| flood.submit());
    let counter = Arc::clone(&flood);
    // ORDERING: Relaxed; as in `Flood`.
    let low = move || counter.starts.load(Ordering::Relaxed);
    let low = flood.pool.try_submit(Priority::Low, low).expect("there is room");
    drop(open);
    let before = low.await.expect("it does not panic");
    // ORDERING: Relaxed; as in `Flood`.
    flood.over.store(true, Ordering::Relaxed);
    first.await.expect("it ends");
    // Sixteen times the jobs that came before it, and itself.
    assert!((4..=16 * 5).contains(&before), "{before} critical jobs ran before it");
}

#[tokio::test]
async fn a_panic_reaches_its_own_job_and_the_thread_lives_on() {
    let pool = pool(4);
    let bad = pool
        .submit(Priority::Normal, || -> u8 { panic!("no more {}", "memory") })
        .await
        .expect("open");
    assert_eq!(bad.await, Err(JobError::Panicked { message: "no more memory".to_owned() }));
    let good = pool.submit(Priority::Normal, || 7).await.expect("open");
    assert_eq!(good.await, Ok(7));
}

#[tokio::test]
async fn a_full_queue_refuses_or_makes_wait_and_nothing_is_lost() {
    let pool = pool(1);
    let (open, started, job) = gate();
    let running = pool.try_submit(Priority::Normal, job).expect("there is room");
    started.recv().expect("it starts");
    let queued = pool.try_submit(Priority::Normal, || 1).expect("one may wait");
    let refused = pool.try_submit(Priority::Critical, || 2).expect_err("no second one");
    assert_eq!(refused, SubmitError::Full { waiting: 1 });
    let mut waiting = Box::pin(pool.submit(Priority::Normal, || 3));
    assert!(Arc::<Bell>::default().poll(waiting.as_mut()).is_pending(), "it waits for room");
    drop(open);
    running.await.expect("it ends");
    assert_eq!(queued.await, Ok(1));
    assert_eq!(waiting.await.expect("open").await, Ok(3));
}

#[tokio::test]
async fn a_caller_that_gives_up_waiting_for_room_takes_its_job_along() {
    let pool = pool(1);
    let (open, started, job) = gate();
    let running = pool.try_submit(Priority::Normal, job).expect("there is room");
    started.recv().expect("it starts");
    let queued = pool.try_submit(Priority::Normal, || 1).expect("one may wait");
    let held = Arc::new(());
    let holds = Arc::clone(&held);
    let mut waiting = Box::pin(pool.submit(Priority::Normal, move || drop(holds)));
    assert!(Arc::<Bell>::default().poll(waiting.as_mut()).is_pending(), "it waits for room");
    drop(waiting);
    assert_eq!(Arc::strong_count(&held), 1, "what the job held is dropped at once");
    drop(open);
    running.await.expect("it ends");
    assert_eq!(queued.await, Ok(1));
    assert_eq!(pool.submit(Priority::Normal, || 2).await.expect("open").await, Ok(2));
    assert_eq!(pool.stats().started, 3, "nothing of it stood before the door");
}

#[tokio::test]
async fn time_without_a_job_is_not_time_of_the_next_one() {
    let pool = pool(1);
    let mut busy = Duration::ZERO;
    for jobs in 1..=3 {
        let since = Instant::now();
        pool.submit(Priority::Normal, || ()).await.expect("open").await.expect("it ends");
        while pool.stats().ended < jobs {
            std::thread::yield_now();
        }
        busy += since.elapsed();
        std::thread::sleep(Duration::from_millis(20));
    }
    let stats = pool.stats();
    assert!(stats.waited + stats.ran <= busy, "{stats:?} in {busy:?}");
}

#[tokio::test]
async fn a_job_whose_handle_is_dropped_before_it_starts_never_runs() {
    let pool = pool(4);
    let (open, started, job) = gate();
    let running = pool.try_submit(Priority::Normal, job).expect("there is room");
    started.recv().expect("it starts");
    let (ran, has_run) = std::sync::mpsc::channel();
    drop(pool.try_submit(Priority::Normal, move || ran.send(())).expect("there is room"));
    drop(open);
    running.await.expect("it ends");
    pool.shutdown().await;
    assert!(has_run.recv().is_err(), "it was dropped unrun");
}

#[tokio::test]
async fn a_running_job_whose_handle_is_dropped_is_told_to_stop() {
    let pool = pool(4);
    let (started, has_started) = tokio::sync::oneshot::channel();
    let (stopped, has_stopped) = tokio::sync::oneshot::channel();
    let job = pool.submit_stoppable(Priority::Normal, move |stop| {
        started.send(()).expect("the test waits");
        while !stop.is_requested() {
            std::thread::yield_now();
        }
        stopped.send(()).expect("the test waits");
    });
    let job = job.await.expect("open");
    has_started.await.expect("it starts");
    drop(job);
    has_stopped.await.expect("it was told");
}

#[tokio::test]
async fn a_closed_pool_refuses_and_runs_what_it_has() {
    let pool = pool(4);
    let job = pool.try_submit(Priority::Normal, || 1).expect("there is room");
    pool.close();
    assert_eq!(pool.try_submit(Priority::Normal, || 2).expect_err("closed"), SubmitError::Closed);
    let refused = pool.submit(Priority::Normal, || 3).await;
    assert_eq!(refused.expect_err("closed"), SubmitError::Closed);
    assert_eq!(job.await, Ok(1));
}

#[tokio::test]
async fn shutdown_ends_threads_that_sleep() {
    for _ in 0..20 {
        let pool = CpuPool::builder().threads(4).build().expect("threads");
        let all = Arc::new(std::sync::Barrier::new(4));
        let jobs = [(); 4].map(|()| {
            let all = Arc::clone(&all);
            pool.try_submit(Priority::Normal, move || all.wait().is_leader())
                .expect("there is room")
        });
        for job in jobs {
            job.await.expect("it ends");
        }
        // One of them searches at most: the others sleep by now, or soon.
        pool.shutdown().await;
    }
}

#[tokio::test]
async fn shutdown_runs_what_waits_and_drop_cancels_it() {
    let orderly = pool(4);
    let jobs = [(); 3].map(|()| orderly.try_submit(Priority::Normal, || 1).expect("there is room"));
    orderly.shutdown().await;
    for job in jobs {
        assert_eq!(job.await, Ok(1));
    }

    let abrupt = pool(4);
    let (open, started, job) = gate();
    let running = abrupt.try_submit(Priority::Normal, job).expect("there is room");
    started.recv().expect("it starts");
    let waiting = abrupt.try_submit(Priority::Normal, || 1).expect("there is room");
    drop(abrupt);
    assert_eq!(waiting.await, Err(JobError::Cancelled));
    drop(open);
    assert_eq!(running.await, Ok(()), "what runs ends on its own");
}

/// Tells whether it was woken.
#[derive(Default)]
struct Bell(AtomicBool);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        // ORDERING: Relaxed; looked at by the thread that waited for it, or after the call that woke.
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Bell {
    fn poll<F: Future>(self: &Arc<Self>, future: Pin<&mut F>) -> Poll<F::Output> {
        let waker = Waker::from(Arc::clone(self));
        future.poll(&mut Context::from_waker(&waker))
    }

    fn has_rung(&self) -> bool {
        // ORDERING: Relaxed; as in `wake`.
        self.0.load(Ordering::Relaxed)
    }
}

#[tokio::test]
async fn whoever_waits_is_woken_when_the_pool_closes_or_cancels() {
    let pool = pool(1);
    let (open, started, job) = gate();
    let running = pool.try_submit(Priority::Normal, job).expect("there is room");
    started.recv().expect("it starts");
    let (door, queued) = (Arc::<Bell>::default(), Arc::<Bell>::default());
    let mut waiting = pool.try_submit(Priority::Normal, || 1).expect("one may wait");
    assert!(queued.poll(Pin::new(&mut waiting)).is_pending());
    {
        let mut caller = pin!(pool.submit(Priority::Normal, || 2));
        assert!(door.poll(caller.as_mut()).is_pending());
        pool.close();
        assert!(door.has_rung(), "it stands at the door of a closed pool");
        assert!(matches!(door.poll(caller), Poll::Ready(Err(SubmitError::Closed))));
    }
    assert!(!queued.has_rung(), "it is still to be run");
    drop(pool);
    assert!(queued.has_rung(), "it never will be");
    assert_eq!(queued.poll(Pin::new(&mut waiting)), Poll::Ready(Err(JobError::Cancelled)));
    drop(open);
    assert_eq!(running.await, Ok(()));
}

#[tokio::test]
async fn a_job_wakes_who_polled_it_last() {
    let pool = pool(1);
    let (open, started, job) = gate();
    let mut running = pool.try_submit(Priority::Normal, job).expect("there is room");
    started.recv().expect("it starts");
    let first = Arc::<Bell>::default();
    assert!(first.poll(Pin::new(&mut running)).is_pending());
    let last = tokio::spawn(running);
    // The runtime has one thread: after this the task has polled.
    tokio::task::yield_now().await;
    drop(open);
    assert_eq!(last.await.expect("no panic"), Ok(()));
    assert!(!first.has_rung());
}

/// A result whose drop panics.
struct Trap;

impl Drop for Trap {
    fn drop(&mut self) {
        panic!("a result that nobody wants");
    }
}

#[tokio::test]
async fn a_thread_lives_on_when_the_drop_of_an_unwanted_result_panics() {
    let pool = pool(4);
    let (open, started, job) = gate();
    let result = move || {
        job();
        Trap
    };
    let unwanted = pool.try_submit(Priority::Normal, result).expect("there is room");
    started.recv().expect("it starts");
    drop(unwanted);
    drop(open);
    assert_eq!(pool.submit(Priority::Normal, || 1).await.expect("open").await, Ok(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_job_is_left_lying_while_threads_sleep() {
    for threads in [1, 2, 4] {
        let pool = Arc::new(CpuPool::builder().threads(threads).queue(3).build().expect("threads"));
        let meeting = Arc::new(tokio::sync::Barrier::new(6));
        let clients: Vec<_> = (0..6)
            .map(|_| {
                let (pool, meeting) = (Arc::clone(&pool), Arc::clone(&meeting));
                tokio::spawn(async move {
                    let mut sum = 0;
                    for n in 0..1000 {
                        if n % 50 == 0 {
                            // Until all stand here the threads run out of work, search, and go to sleep.
                            meeting.wait().await;
                        }
                        sum +=
                            pool.submit(Priority::Normal, move || n).await.unwrap().await.unwrap();
                    }
                    sum
                })
            })
            .collect();
        for client in clients {
            assert_eq!(client.await.unwrap(), 499_500);
        }
    }
}

#[tokio::test]
async fn stats_say_what_waits_what_runs_and_how_long_jobs_waited_and_ran() {
    let pool = pool(4);
    let (open, started, job) = gate();
    let first = pool.try_submit(Priority::Normal, job).expect("there is room");
    started.recv().expect("it starts");
    let second = pool.try_submit(Priority::Low, || ()).expect("there is room");
    let since = Instant::now();
    let stats = pool.stats();
    let counts = (stats.threads, stats.waiting, stats.running, stats.started, stats.ended);
    assert_eq!(counts, (1, 1, 1, 1, 0));
    // Both have waited or run since then, however long it took to come here.
    let held = since.elapsed();
    drop(open);
    first.await.expect("it ends");
    second.await.expect("it ends");
    let third = pool.submit(Priority::Normal, || ()).await.expect("open");
    third.await.expect("it ends");
    let stats = pool.stats();
    // The third job's end is counted after its result is out; the one before it, surely.
    assert!(stats.started == 3 && stats.ended >= 2 && stats.waiting == 0, "{stats:?}");
    assert!(stats.waited >= held && stats.ran >= held, "{stats:?}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_pinned_thread_may_run_on_one_processor_and_no_two_share_one_while_there_are_enough() {
    let seen = std::thread::available_parallelism().map_or(1, usize::from);
    let pool = CpuPool::builder().threads(2).pin(true).build().expect("threads");
    let both = Arc::new(std::sync::Barrier::new(2));
    let jobs = [(); 2].map(|()| {
        let both = Arc::clone(&both);
        let job = move || {
            both.wait();
            let status = std::fs::read_to_string("/proc/thread-self/status").expect("procfs");
            let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
            allowed.and_then(|list| list.trim().parse::<usize>().ok()).expect("one processor")
        };
        pool.try_submit(Priority::Normal, job).expect("there is room")
    });
    let [one, other] = jobs;
    assert_eq!(one.await.expect("it ends") == other.await.expect("it ends"), seen == 1);
}

#[tokio::test]
async fn a_pool_is_as_its_builder_says() {
    let pool = CpuPool::builder().threads(0).queue(0).name("sums").build().expect("a thread");
    assert_eq!((pool.threads(), pool.capacity(), pool.waiting(), pool.running()), (1, 1, 0, 0));
    let name = pool.submit(Priority::Low, || std::thread::current().name().map(str::to_owned));
    assert_eq!(name.await.expect("open").await, Ok(Some("sums-0".to_owned())));
    let usual = CpuPool::builder().build().expect("threads");
    assert_eq!((usual.threads(), usual.capacity()), (tidegate_pools::processors(), 1024));
}

#[tokio::test]
async fn jobs_of_one_class_start_in_their_order_and_so_do_callers_that_wait_for_room() {
    let pool = pool(2);
    let (open, started, job) = gate();
    let first = pool.try_submit(Priority::Normal, job).expect("there is room");
    started.recv().expect("it starts");
    let (starts, started) = std::sync::mpsc::channel();
    let mut jobs = Vec::new();
    for n in 0..2 {
        let starts = starts.clone();
        let job = move || starts.send(n).expect("the test looks");
        jobs.push(pool.try_submit(Priority::Normal, job).expect("there is room"));
    }
    let mut callers: Vec<_> = (2..5)
        .map(|n| {
            let starts = starts.clone();
            let job = move || starts.send(n).expect("the test looks");
            Box::pin(pool.submit(Priority::Normal, job))
        })
        .collect();
    for caller in &mut callers {
        assert!(Arc::<Bell>::default().poll(caller.as_mut()).is_pending(), "it waits for room");
    }
    drop(open);
    first.await.expect("it ends");
    for caller in callers {
        jobs.push(caller.await.expect("open"));
    }
    for job in jobs {
        job.await.expect("it ends");
    }
    assert!(started.try_iter().eq(0..5));
}

#[tokio::test]
async fn shutdown_returns_when_what_runs_has_ended() {
    let pool = pool(4);
    let ended = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&ended);
    let (started, has_started) = tokio::sync::oneshot::channel();
    let job = pool.submit(Priority::Normal, move || {
        started.send(()).expect("the test waits");
        std::thread::park_timeout(Duration::from_millis(50));
        // ORDERING: Release; pairs with the Acquire below.
        told.store(true, Ordering::Release);
    });
    let job = job.await.expect("open");
    has_started.await.expect("it starts");
    pool.shutdown().await;
    // ORDERING: Acquire; pairs with the Release above.
    assert!(ended.load(Ordering::Acquire));
    assert_eq!(job.await, Ok(()));
}

#[tokio::test]
async fn a_shutdown_that_nobody_waits_for_runs_what_was_taken_in_all_the_same() {
    let pool = pool(4);
    let (open, started, job) = gate();
    let running = pool.try_submit(Priority::Normal, job).expect("there is room");
    started.recv().expect("it starts");
    let queued = pool.try_submit(Priority::Normal, || 1).expect("there is room");
    let mut shutdown = Box::pin(pool.shutdown());
    assert!(Arc::<Bell>::default().poll(shutdown.as_mut()).is_pending(), "a job runs");
    drop(shutdown);
    drop(open);
    assert_eq!((running.await, queued.await), (Ok(()), Ok(1)));
}
