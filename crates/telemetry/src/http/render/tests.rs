use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex as StdMutex};

use tokio::runtime::{Builder, Runtime};
use tokio::task::yield_now;

use super::*;

const LONG: Duration = Duration::from_secs(20);

/// A renderer whose renderings are numbered, tell that they have begun, and wait to be let go.
struct Steps {
    renderer: Arc<Renderer>,
    begun: Receiver<()>,
    go: Sender<()>,
}

impl Steps {
    fn new() -> Self {
        let ((tell, begun), (go, gone)) = (channel(), channel());
        let (count, gone) = (AtomicUsize::new(0), StdMutex::new(gone));
        let read = move || {
            tell.send(()).unwrap();
            gone.lock().unwrap().recv().unwrap();
            (count.fetch_add(1, Ordering::SeqCst) + 1) as f64
        };
        let registry = Registry::new();
        registry.define("n", "x").gauge_fn(read).unwrap();
        let renderer = Arc::new(Renderer::new(registry, Format::Text, false));
        Self { renderer, begun, go }
    }

    /// Asks; gives out the number of the rendering that was the answer.
    fn ask(&self, patience: Duration) -> JoinHandle<Option<String>> {
        let renderer = Arc::clone(&self.renderer);
        tokio::spawn(async move {
            let text = renderer.render(patience).await?;
            Some(String::from_utf8(text.to_vec()).unwrap().lines().last().unwrap().to_owned())
        })
    }

    async fn begins(&self) {
        let begun = async {
            while self.begun.try_recv().is_err() {
                yield_now().await;
            }
        };
        timeout(LONG, begun).await.expect("a rendering begins");
    }

    fn keeps_a_text(&self) -> bool {
        self.renderer.state.try_lock().unwrap().last.is_some()
    }
}

/// Of one thread: who yields has let the others begin.
fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().build().unwrap()
}

#[test]
fn who_asks_while_one_renders_shares_the_next_rendering() {
    runtime().block_on(async {
        let steps = Steps::new();
        let first = steps.ask(LONG);
        steps.begins().await;
        let late = [steps.ask(LONG), steps.ask(LONG)];
        yield_now().await;
        steps.go.send(()).unwrap();
        assert_eq!(first.await.unwrap().as_deref(), Some("n 1"));
        steps.begins().await;
        steps.go.send(()).unwrap();
        for late in late {
            assert_eq!(late.await.unwrap().as_deref(), Some("n 2"));
        }
        assert!(!steps.keeps_a_text(), "nobody waits for it");
        let alone = steps.ask(LONG);
        steps.begins().await;
        steps.go.send(()).unwrap();
        assert_eq!(alone.await.unwrap().as_deref(), Some("n 3"));
        assert!(!steps.keeps_a_text(), "nobody waits for it");
    });
}

#[test]
fn a_rendering_that_was_given_up_is_waited_for_and_not_taken() {
    runtime().block_on(async {
        let steps = Steps::new();
        assert_eq!(steps.ask(Duration::from_millis(1)).await.unwrap(), None);
        let late = steps.ask(LONG);
        steps.begins().await;
        steps.go.send(()).unwrap();
        steps.begins().await;
        steps.go.send(()).unwrap();
        assert_eq!(late.await.unwrap().as_deref(), Some("n 2"));
    });
}
