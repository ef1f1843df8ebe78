//! The graphs that every contender runs.

/// Who needs whom: each task's needs stand before it.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    pub(crate) name: &'static str,
    pub(crate) needs: Vec<Vec<u32>>,
}

impl Shape {
    /// Tasks that need nobody.
    pub(crate) fn wide(tasks: usize) -> Self {
        Self { name: "wide", needs: vec![Vec::new(); tasks] }
    }

    /// Each task needs the one before.
    pub(crate) fn chain(tasks: u32) -> Self {
        let needs = (0..tasks).map(|at| at.checked_sub(1).into_iter().collect()).collect();
        Self { name: "chain", needs }
    }

    /// Layers of 100, three needs a task, four in five of them from the layer before.
    pub(crate) fn layered(tasks: u32) -> Self {
        let mut state = 1_u64;
        let mut below = |limit: u32| {
            // Knuth's MMIX generator.
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as u32 % limit
        };
        let needs = (0..tasks).map(|at| {
            let layer = at / 100;
            let mut needs = Vec::with_capacity(3);
            while layer > 0 && needs.len() < 3 {
                let near = below(5) < 4;
                let need = if near { (layer - 1) * 100 + below(100) } else { below(layer * 100) };
                if !needs.contains(&need) {
                    needs.push(need);
                }
            }
            needs
        });
        Self { name: "layered", needs: needs.collect() }
    }

    /// Who needs each task.
    pub(crate) fn dependents(&self) -> Vec<Vec<u32>> {
        let mut dependents = vec![Vec::new(); self.needs.len()];
        for (at, needs) in self.needs.iter().enumerate() {
            let at = u32::try_from(at).expect("shapes are small");
            needs.iter().for_each(|need| dependents[*need as usize].push(at));
        }
        dependents
    }
}
