//! The cameras of small captures as photogrammetry programs export them.

use super::small_captures::pose;
use glam::{DMat4, DVec4};

/// Camera-to-world in OpenGL axes.
pub fn pose_matrix(i: usize, n: usize) -> DMat4 {
    let rows: [[f64; 4]; 4] = serde_json::from_value(pose(i, n)).unwrap();
    DMat4::from_cols_array_2d(&rows).transpose()
}

/// Metashape's camera of that pose.
pub fn metashape_camera(label: &str, attributes: &str, camera_to_world: DMat4) -> String {
    let flip = DMat4::from_diagonal(DVec4::new(1.0, -1.0, -1.0, 1.0));
    let rows = (camera_to_world * flip).transpose().to_cols_array();
    let rows: Vec<String> = rows.iter().map(f64::to_string).collect();
    format!(
        "<camera id=\"0\" label=\"{label}\" sensor_id=\"0\" {attributes}><transform>{}</transform></camera>\n",
        rows.join(" ")
    )
}

/// Metashape's sensor 0 for photos of 40 × 30, with this in its adjusted calibration.
pub fn metashape_sensor(kind: &str, values: &str) -> String {
    format!(
        "<sensor id=\"0\" label=\"FC330, 3.6mm\" type=\"{kind}\">\n<resolution width=\"40\" height=\"30\"/>\n\
         <calibration type=\"{kind}\" class=\"initial\"><resolution width=\"40\" height=\"30\"/><f>1</f></calibration>\n\
         <calibration type=\"{kind}\" class=\"adjusted\"><resolution width=\"40\" height=\"30\"/>{values}</calibration>\n\
         </sensor>\n"
    )
}

/// Metashape's export of these sensors, cameras and what else a chunk has.
pub fn metashape(sensors: &str, cameras: &str, rest: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<document version=\"2.0.0\">\n<chunk label=\"Chunk 1\" enabled=\"true\">\n\
         <sensors next_id=\"1\">{sensors}</sensors>\n<cameras next_id=\"9\" next_group_id=\"0\">\n{cameras}</cameras>\n\
         {rest}</chunk>\n</document>\n"
    )
}

pub const REALITY_CAPTURE_COLUMNS: &str =
    "#name,x,y,alt,heading,pitch,roll,f,px,py,k1,k2,k3,k4,t1,t2\n";

/// RealityCapture's row of that pose, with this lens.
pub fn reality_capture_row(name: &str, camera_to_world: DMat4, lens: &str) -> String {
    let [x, y, alt] = camera_to_world.w_axis.truncate().to_array();
    let m = camera_to_world;
    let pitch = m.y_axis.z.asin().to_degrees();
    let heading = m.y_axis.x.atan2(m.y_axis.y).to_degrees();
    let roll = (-m.x_axis.z).atan2(m.z_axis.z).to_degrees();
    format!("{name},{x},{y},{alt},{heading},{pitch},{roll},{lens}\n")
}
