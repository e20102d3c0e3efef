//! Query 8: persons who open an auction in the window in which they registered.

use hashbrown::HashSet;
use millstream::connector::nexmark::result::NewSeller;
use millstream::connector::nexmark::{Auction, Event, Name, Person};
use millstream::time::Timestamp;
use rustc_hash::FxBuildHasher;

use crate::nexmark::kernel::{Kernel, Map};
use crate::nexmark::{WINDOW_MS, window_start};

#[derive(Clone, Default)]
struct Window {
    start: Timestamp,
    persons: Map<u64, Name>,
    sellers: HashSet<u64, FxBuildHasher>,
}

/// Both sides of each window that is open.
#[derive(Clone, Default)]
pub struct NewSellers {
    windows: Vec<Window>,
}

impl NewSellers {
    fn window(&mut self, time: Timestamp) -> &mut Window {
        let start = window_start(time, WINDOW_MS);
        let place = self.windows.iter().rposition(|window| window.start == start);
        let place = place.unwrap_or_else(|| {
            self.windows.push(Window { start, ..Window::default() });
            self.windows.len() - 1
        });
        &mut self.windows[place]
    }
}

impl Kernel for NewSellers {
    type In = Event;
    type Out = NewSeller;
    const FIRES: bool = true;

    #[inline]
    fn take(&mut self, event: Event, _: &mut Vec<NewSeller>) {
        match event {
            Event::Person(Person { id, time, name, .. }) => {
                self.window(time).persons.insert(id, name);
            }
            Event::Auction(Auction { seller, time, .. }) => {
                self.window(time).sellers.insert(seller);
            }
            Event::Bid(_) => {}
        }
    }

    fn advance(&mut self, watermark: Timestamp, out: &mut Vec<NewSeller>) {
        self.windows.retain(|Window { start, persons, sellers }| {
            let is_open = start.plus_millis(WINDOW_MS) > watermark;
            if !is_open {
                let new = persons.iter().filter(|(person, _)| sellers.contains(*person));
                let row = |(&person, &name)| NewSeller { window: *start, person, name };
                out.extend(new.map(row));
            }
            is_open
        });
    }
}
