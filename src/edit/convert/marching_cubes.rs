//! The surface on which values on a grid change their sign: marching cubes (Lorensen & Cline 1987). The 256 cases are worked
//! out instead of tabulated: on each face of a cube the crossings are joined so that inside corners stay apart, which
//! depends on that face alone, so that neighbouring cubes agree; the joints close to loops, and loops are cut into
//! triangles along no line that lies in a face, where a neighbour might cut too. So every edge has exactly two triangles
//! wherever the values are known.

use crate::scene::Mesh;
use glam::DVec3;
use std::{collections::HashMap, sync::LazyLock};

/// Values at the corners of cubes; negative is inside.
#[derive(Clone, Debug)]
pub struct Grid {
    /// World position of the first corner.
    pub origin: DVec3,
    /// Between neighbours, world units.
    pub spacing: f64,
    /// Corners along x, y and z.
    pub size: [usize; 3],
    /// x fastest; not a number where nothing is known, and then no surface runs there.
    pub values: Vec<f32>,
}

/// A crossing keeps this far from the corners, in spacings: vertices never meet, and no triangle is without area.
const CLEARANCE: f64 = 0.02;

/// Corner `i` has bit 0 of `i` along x, bit 1 along y, bit 2 along z. An edge is its two corners, the lesser first.
type Edge = [usize; 2];

/// Corners of each face, in a circle, counter-clockwise from outside.
const FACES: [[usize; 4]; 6] = [
    [0, 4, 6, 2],
    [1, 3, 7, 5],
    [0, 1, 5, 4],
    [2, 6, 7, 3],
    [0, 2, 3, 1],
    [4, 5, 7, 6],
];

fn edge(a: usize, b: usize) -> Edge {
    [a.min(b), a.max(b)]
}

fn share_face(a: Edge, b: Edge) -> bool {
    let has = |face: &[usize; 4], e: Edge| e.iter().all(|c| face.contains(c));
    FACES.iter().any(|face| has(face, a) && has(face, b))
}

/// Triangles of each case; bit `i` of a case: corner `i` is inside.
static CASES: LazyLock<Vec<Vec<[Edge; 3]>>> =
    LazyLock::new(|| (0..256).map(triangles_of).collect());

fn triangles_of(case: usize) -> Vec<[Edge; 3]> {
    let is_inside = |corner: usize| case >> corner & 1 == 1;
    // Around a face, the joint that keeps an inside stretch to its left leads from its end to its beginning.
    let mut next = HashMap::<Edge, Edge>::new();
    for face in FACES {
        for i in 0..4 {
            let (before, first) = (face[(i + 3) % 4], face[i]);
            if is_inside(before) || !is_inside(first) {
                continue;
            }
            let mut last = i;
            while is_inside(face[(last + 1) % 4]) {
                last = (last + 1) % 4;
            }
            let leaves = edge(face[last], face[(last + 1) % 4]);
            next.insert(edge(before, first), leaves);
        }
    }
    let mut triangles = Vec::new();
    let mut starts: Vec<Edge> = next.keys().copied().collect();
    starts.sort_unstable();
    for start in starts {
        let mut ring = Vec::new();
        let mut at = start;
        while let Some(following) = next.remove(&at) {
            ring.push(at);
            at = following;
        }
        if let Some(cut) = cut(&ring) {
            triangles.extend(cut);
        }
    }
    triangles
}

/// Triangles of a ring of crossings, along no line within a face.
fn cut(ring: &[Edge]) -> Option<Vec<[Edge; 3]>> {
    match ring {
        [] | [_] | [_, _] => Some(Vec::new()),
        &[a, b, c] => Some(vec![[a, b, c]]),
        _ => (0..ring.len()).find_map(|i| {
            let n = ring.len();
            let (a, ear, b) = (ring[i], ring[(i + 1) % n], ring[(i + 2) % n]);
            if share_face(a, b) {
                return None;
            }
            let mut rest = ring.to_vec();
            rest.remove((i + 1) % n);
            let mut triangles = cut(&rest)?;
            triangles.push([a, ear, b]);
            Some(triangles)
        }),
    }
}

impl Grid {
    fn at(&self, [x, y, z]: [usize; 3]) -> usize {
        (z * self.size[1] + y) * self.size[0] + x
    }

    /// The surface, without colors. Triangles are in the order of their cubes.
    pub fn surface(&self) -> Mesh {
        let mut mesh = Mesh::default();
        // By the crossed edge's lower corner and axis.
        let mut known = HashMap::<(usize, u8), u32>::new();
        let cubes = self.size.map(|n| n.saturating_sub(1));
        for z in 0..cubes[2] {
            for y in 0..cubes[1] {
                for x in 0..cubes[0] {
                    self.cube([x, y, z], &mut mesh, &mut known);
                }
            }
        }
        mesh
    }

    fn cube(&self, base: [usize; 3], mesh: &mut Mesh, known: &mut HashMap<(usize, u8), u32>) {
        let place = |corner: usize| -> [usize; 3] {
            std::array::from_fn(|axis| base[axis] + (corner >> axis & 1))
        };
        let values: [f32; 8] = std::array::from_fn(|corner| self.values[self.at(place(corner))]);
        let case = (0..8).fold(0, |case, i| case | usize::from(values[i] < 0.0) << i);
        if case == 0 || case == 255 || values.iter().any(|v| v.is_nan()) {
            return;
        }
        for triangle in &CASES[case] {
            let corners = triangle.map(|[low, high]| {
                let axis = (low ^ high).trailing_zeros() as u8;
                *known.entry((self.at(place(low)), axis)).or_insert_with(|| {
                    let (a, b) = (f64::from(values[low]), f64::from(values[high]));
                    let t = (a / (a - b)).clamp(CLEARANCE, 1.0 - CLEARANCE);
                    let mut point = place(low).map(|v| v as f64);
                    point[usize::from(axis)] += t;
                    let world = self.origin + DVec3::from_array(point) * self.spacing;
                    mesh.positions.push(world.as_vec3().to_array());
                    mesh.positions.len() as u32 - 1
                })
            });
            mesh.triangles.push(corners);
        }
    }
}
