//! A surface of triangles with a color at each vertex, on the host.

use glam::{DQuat, DVec3};
use std::collections::HashMap;

/// Triangles are counter-clockwise as seen from outside.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mesh {
    /// `[n]`, world units.
    pub positions: Vec<[f32; 3]>,
    /// `[n]`, display-referred rgb.
    pub colors: Vec<[u8; 3]>,
    /// Indices of vertices.
    pub triangles: Vec<[u32; 3]>,
}

impl Mesh {
    fn corners(&self, triangle: [u32; 3]) -> [DVec3; 3] {
        triangle.map(|i| DVec3::from_array(self.positions[i as usize].map(f64::from)))
    }

    /// About the origin.
    pub fn turn(&mut self, rotation: DQuat) {
        for position in &mut self.positions {
            let turned = rotation * DVec3::from_array(position.map(f64::from));
            *position = turned.as_vec3().to_array();
        }
    }

    /// What a closed surface encloses, cubic world units.
    pub fn volume(&self) -> f64 {
        let of_triangle = |&t: &[u32; 3]| {
            let [a, b, c] = self.corners(t);
            a.dot(b.cross(c)) / 6.0
        };
        self.triangles.iter().map(of_triangle).sum()
    }

    /// Triangles at each edge, by its vertices in ascending order.
    fn edges(&self) -> HashMap<[u32; 2], u32> {
        let mut edges = HashMap::new();
        for &[a, b, c] in &self.triangles {
            for [p, q] in [[a, b], [b, c], [c, a]] {
                *edges.entry([p.min(q), p.max(q)]).or_default() += 1;
            }
        }
        edges
    }

    /// Whether every edge has a triangle on either side.
    pub fn is_watertight(&self) -> bool {
        !self.triangles.is_empty() && self.edges().values().all(|&n| n == 2)
    }

    /// Vertices − edges + triangles: 2 for each closed part without handles.
    pub fn euler_characteristic(&self) -> i64 {
        self.positions.len() as i64 - self.edges().len() as i64 + self.triangles.len() as i64
    }

    /// Least and largest coordinates; `None` without vertices.
    pub fn bounds(&self) -> Option<[[f32; 3]; 2]> {
        let first = *self.positions.first()?;
        let bounds = self.positions.iter().fold([first; 2], |[low, high], p| {
            [
                std::array::from_fn(|i| low[i].min(p[i])),
                std::array::from_fn(|i| high[i].max(p[i])),
            ]
        });
        Some(bounds)
    }

    /// `[n]`: unit length, outward, weighted by the triangles' areas; zero at vertices of none.
    pub fn normals(&self) -> Vec<[f32; 3]> {
        let mut sums = vec![DVec3::ZERO; self.positions.len()];
        for &t in &self.triangles {
            let [a, b, c] = self.corners(t);
            let normal = (b - a).cross(c - a);
            for i in t {
                sums[i as usize] += normal;
            }
        }
        sums.into_iter()
            .map(|n| n.normalize_or_zero().as_vec3().to_array())
            .collect()
    }

    /// Without the parts that have less than `share` of the largest part's triangles, and without vertices of no triangle.
    pub fn without_specks(&self, share: f64) -> Self {
        let part_of = self.parts();
        let mut sizes = HashMap::<u32, usize>::new();
        for t in &self.triangles {
            *sizes.entry(part_of[t[0] as usize]).or_default() += 1;
        }
        let largest = sizes.values().copied().max().unwrap_or(0);
        let least = share * largest as f64;
        let mut kept = Self::default();
        let mut place = vec![u32::MAX; self.positions.len()];
        for t in &self.triangles {
            if (sizes[&part_of[t[0] as usize]] as f64) < least {
                continue;
            }
            kept.triangles.push(t.map(|i| {
                let i = i as usize;
                if place[i] == u32::MAX {
                    place[i] = kept.positions.len() as u32;
                    kept.positions.push(self.positions[i]);
                    kept.colors.extend(self.colors.get(i));
                }
                place[i]
            }));
        }
        kept
    }

    /// A vertex of each vertex's connected part, the same for all of one part.
    fn parts(&self) -> Vec<u32> {
        let mut parent: Vec<u32> = (0..self.positions.len() as u32).collect();
        fn root(parent: &mut [u32], mut i: u32) -> u32 {
            while parent[i as usize] != i {
                parent[i as usize] = parent[parent[i as usize] as usize];
                i = parent[i as usize];
            }
            i
        }
        for &[a, b, c] in &self.triangles {
            for other in [b, c] {
                let (p, q) = (root(&mut parent, a), root(&mut parent, other));
                parent[p.max(q) as usize] = p.min(q);
            }
        }
        (0..parent.len() as u32)
            .map(|i| root(&mut parent, i))
            .collect()
    }
}
