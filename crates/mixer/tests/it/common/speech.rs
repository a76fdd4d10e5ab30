//! Real speech for tests.

use std::path::Path;

/// What four people say, 48 kHz, −26 dBov, with pauses between the sentences; `None` without the data.
pub fn recordings() -> Option<Vec<Vec<f32>>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/media/speech");
    if !dir.exists() {
        use std::io::Write;
        let _ = writeln!(std::io::stderr(), "skipped: no speech in {}", dir.display());
        return None;
    }
    let mut files: Vec<_> = std::fs::read_dir(&dir).unwrap().map(|f| f.unwrap().path()).collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "wav"));
    files.sort();
    assert!(files.len() >= 10, "{files:?}");
    let mut people: Vec<Vec<f32>> = vec![Vec::new(); 4];
    for (n, file) in files.iter().enumerate() {
        let mut reader = hound::WavReader::open(file).unwrap();
        assert_eq!(reader.spec().sample_rate, 16_000);
        let mut said: Vec<f32> = reader.samples::<i16>().map(|s| f32::from(s.unwrap()) / 32_768.0).collect();
        let power = said.iter().map(|s| s * s).sum::<f32>() / said.len() as f32;
        said.iter_mut().for_each(|s| *s *= 10f32.powf(-26.0 / 20.0) / power.sqrt());
        let person = if n < 5 { 0 } else { 1 + n % 3 };
        people[person].extend(upsample(&said));
        // A pause between two sentences, longer each time.
        people[person].extend(std::iter::repeat_n(0.0, 48 * (400 + 170 * n)));
    }
    Some(people)
}

/// 16 → 48 kHz on straight lines.
fn upsample(low: &[f32]) -> Vec<f32> {
    let pairs = low.iter().zip(low.iter().skip(1));
    pairs.flat_map(|(a, b)| [0.0, 1.0 / 3.0, 2.0 / 3.0].map(|t| a + (b - a) * t)).collect()
}
