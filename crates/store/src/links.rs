//! Links of a cascade: which slave may connect, and the certificate it proves itself with.

use std::time::SystemTime;

use sqlx::{Row as _, sqlite::SqliteRow};

use crate::{
    Error, Store,
    db::{millis, time},
};

/// Links kept at most: ten times the provinces of the largest tree.
const MOST: i64 = 1_000;

/// SHA-256 of a token, a key or a certificate.
pub type Hash = [u8; 32];

/// The link of one slave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its number; never given twice.
    pub id: u64,
    /// The path the slave's certificate is bound to.
    pub path: String,
    /// Its name for people.
    pub name: String,
    /// When it was made.
    pub created_at: SystemTime,
    /// Until when the token may be used.
    pub token_expires_at: SystemTime,
    /// When the slave got its certificate; `None`: not yet.
    pub enrolled_at: Option<SystemTime>,
    /// SHA-256 of that certificate.
    pub certificate: Option<Hash>,
}

/// What became of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Enrolment {
    /// Unknown, expired, or spent by another key.
    Refused,
    /// Right; a certificate is to be issued and given to [`Store::enrol`].
    Open(Link),
    /// This key has spent it already: the same certificate again.
    Again(Link, String),
}

impl Store {
    /// Makes a link whose token has this hash.
    ///
    /// # Errors
    /// [`Error::PathTaken`], [`Error::TooManyLinks`], or the database fails.
    pub async fn create_link(
        &self,
        path: &str,
        name: &str,
        token: &Hash,
        expires: SystemTime,
        now: SystemTime,
    ) -> Result<Link, Error> {
        let mut tx = self.write().await?;
        let count: i64 = sqlx::query_scalar("SELECT count(*) FROM cascade_links")
            .fetch_one(&mut *tx)
            .await
            .map_err(|e| self.sql(e))?;
        if count >= MOST {
            return Err(Error::TooManyLinks(MOST));
        }
        let row = sqlx::query(
            "INSERT INTO cascade_links (path, name, created_at, token_hash, token_expires_at)
             VALUES ($1, $2, $3, $4, $5) RETURNING *",
        )
        .bind(path)
        .bind(name)
        .bind(millis(now))
        .bind(&token[..])
        .bind(millis(expires))
        .fetch_one(&mut *tx)
        .await
        .map_err(|e| {
            if e.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation) {
                Error::PathTaken(path.to_owned())
            } else {
                self.sql(e)
            }
        })?;
        let link = self.link_of(&row)?;
        self.commit(tx).await?;
        Ok(link)
    }

    /// All links, in order of their numbers.
    ///
    /// # Errors
    /// The database fails.
    pub async fn links(&self) -> Result<Vec<Link>, Error> {
        let rows = sqlx::query("SELECT * FROM cascade_links ORDER BY id").fetch_all(&self.0.pool).await;
        rows.map_err(|e| self.sql(e))?.iter().map(|row| self.link_of(row)).collect()
    }

    /// Forgets a link, which revokes its certificate; gives it back.
    ///
    /// # Errors
    /// [`Error::Missing`], or the database fails.
    pub async fn delete_link(&self, id: u64) -> Result<Link, Error> {
        let mut tx = self.write().await?;
        let row = sqlx::query("DELETE FROM cascade_links WHERE id = $1 RETURNING *")
            .bind(id.cast_signed())
            .fetch_optional(&mut *tx)
            .await
            .map_err(|e| self.sql(e))?
            .ok_or(Error::Missing("link"))?;
        let link = self.link_of(&row)?;
        self.commit(tx).await?;
        Ok(link)
    }

    /// Whether a token may be spent by this key.
    ///
    /// # Errors
    /// The database fails.
    pub async fn enrolment(&self, token: &Hash, key: &Hash, now: SystemTime) -> Result<Enrolment, Error> {
        let row = sqlx::query("SELECT * FROM cascade_links WHERE token_hash = $1 AND token_expires_at > $2")
            .bind(&token[..])
            .bind(millis(now))
            .fetch_optional(&self.0.pool)
            .await
            .map_err(|e| self.sql(e))?;
        let Some(row) = row else { return Ok(Enrolment::Refused) };
        let link = self.link_of(&row)?;
        let spent: Option<Vec<u8>> = row.try_get("key_hash").map_err(|e| self.sql(e))?;
        let pem: Option<String> = row.try_get("certificate_pem").map_err(|e| self.sql(e))?;
        Ok(match (spent, pem) {
            (None, _) => Enrolment::Open(link),
            (Some(spent), Some(pem)) if spent == key => Enrolment::Again(link, pem),
            _ => Enrolment::Refused,
        })
    }

    /// Spends the token of a link; whether it was still to be had.
    ///
    /// # Errors
    /// The database fails.
    pub async fn enrol(
        &self,
        id: u64,
        key: &Hash,
        certificate: &Hash,
        pem: &str,
        now: SystemTime,
    ) -> Result<bool, Error> {
        let mut tx = self.write().await?;
        let done = sqlx::query(
            "UPDATE cascade_links SET key_hash = $2, certificate = $3, certificate_pem = $4, enrolled_at = $5
             WHERE id = $1 AND key_hash IS NULL AND token_expires_at > $5",
        )
        .bind(id.cast_signed())
        .bind(&key[..])
        .bind(&certificate[..])
        .bind(pem)
        .bind(millis(now))
        .execute(&mut *tx)
        .await
        .map_err(|e| self.sql(e))?;
        self.commit(tx).await?;
        Ok(done.rows_affected() > 0)
    }

    /// The link a certificate was issued for; `None`: for none, or it is revoked.
    ///
    /// # Errors
    /// The database fails.
    pub async fn link_with(&self, certificate: &Hash) -> Result<Option<Link>, Error> {
        let row = sqlx::query("SELECT * FROM cascade_links WHERE certificate = $1")
            .bind(&certificate[..])
            .fetch_optional(&self.0.pool)
            .await
            .map_err(|e| self.sql(e))?;
        row.map(|row| self.link_of(&row)).transpose()
    }

    /// Everything of every link as text, with its path: for the other master, which takes it with [`Store::replace_links`].
    ///
    /// # Errors
    /// The database fails.
    pub async fn link_rows(&self) -> Result<Vec<(String, String)>, Error> {
        let rows = sqlx::query(
            "SELECT path, json_object('path', path, 'name', name, 'created_at', created_at, 'token_hash', hex(token_hash),
                'token_expires_at', token_expires_at, 'key_hash', hex(key_hash), 'certificate', hex(certificate),
                'certificate_pem', certificate_pem, 'enrolled_at', enrolled_at) AS record
             FROM cascade_links ORDER BY path",
        );
        let rows = rows.fetch_all(&self.0.pool).await.map_err(|e| self.sql(e))?;
        let text = |row: &SqliteRow, column| row.try_get(column).map_err(|e| self.sql(e));
        rows.iter().map(|row| Ok((text(row, "path")?, text(row, "record")?))).collect()
    }

    /// The links are these from now on; those that stay keep their numbers.
    ///
    /// # Errors
    /// A row that is none, or the database fails; nothing has changed then.
    pub async fn replace_links(&self, rows: &[String]) -> Result<(), Error> {
        let most = usize::try_from(MOST).unwrap_or_default();
        if rows.len() > most {
            return Err(Error::TooManyLinks(MOST));
        }
        let all = format!("[{}]", rows.join(","));
        let mut tx = self.write().await?;
        for query in [
            "DELETE FROM cascade_links WHERE path NOT IN (SELECT value ->> 'path' FROM json_each($1))",
            "INSERT INTO cascade_links (path, name, created_at, token_hash, token_expires_at, key_hash, certificate,
                certificate_pem, enrolled_at)
             SELECT value ->> 'path', value ->> 'name', value ->> 'created_at', unhex(value ->> 'token_hash'),
                value ->> 'token_expires_at', nullif(unhex(value ->> 'key_hash'), x''), nullif(unhex(value ->> 'certificate'), x''),
                value ->> 'certificate_pem', value ->> 'enrolled_at'
             FROM json_each($1) WHERE true
             ON CONFLICT (path) DO UPDATE SET name = excluded.name, created_at = excluded.created_at,
                token_hash = excluded.token_hash, token_expires_at = excluded.token_expires_at, key_hash = excluded.key_hash,
                certificate = excluded.certificate, certificate_pem = excluded.certificate_pem, enrolled_at = excluded.enrolled_at",
        ] {
            sqlx::query(query).bind(&all).execute(&mut *tx).await.map_err(|e| self.sql(e))?;
        }
        self.commit(tx).await
    }

    fn link_of(&self, row: &SqliteRow) -> Result<Link, Error> {
        let int = |column| row.try_get::<i64, _>(column).map_err(|e| self.sql(e));
        let enrolled: Option<i64> = row.try_get("enrolled_at").map_err(|e| self.sql(e))?;
        let certificate: Option<Vec<u8>> = row.try_get("certificate").map_err(|e| self.sql(e))?;
        Ok(Link {
            id: int("id")?.cast_unsigned(),
            path: row.try_get("path").map_err(|e| self.sql(e))?,
            name: row.try_get("name").map_err(|e| self.sql(e))?,
            created_at: time(int("created_at")?),
            token_expires_at: time(int("token_expires_at")?),
            enrolled_at: enrolled.map(time),
            certificate: certificate.and_then(|bytes| bytes.try_into().ok()),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Options;

    fn at(s: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000 + s)
    }

    #[tokio::test]
    async fn the_links_of_one_master_become_those_of_the_other() {
        let ((_a, one), (_b, other)) = (store().await, store().await);
        let link = one.create_link("dak-lak", "Đắk “Lắk”", &[1; 32], at(100), at(1)).await.unwrap();
        assert!(one.enrol(link.id, &[2; 32], &[3; 32], "PEM\n1", at(2)).await.unwrap());
        one.create_link("hue", "Huế", &[4; 32], at(100), at(1)).await.unwrap();
        other.create_link("ca-mau", "Cà Mau", &[9; 32], at(100), at(1)).await.unwrap();
        let texts = |rows: Vec<(String, String)>| rows.into_iter().map(|(_, text)| text).collect::<Vec<_>>();
        let rows = one.link_rows().await.unwrap();
        assert_eq!(rows[0].0, "dak-lak");
        other.replace_links(&texts(rows.clone())).await.unwrap();
        assert_eq!(other.link_rows().await.unwrap(), rows);
        let there = other.link_with(&[3; 32]).await.unwrap().unwrap();
        assert_eq!((there.path.as_str(), there.name.as_str()), ("dak-lak", "Đắk “Lắk”"));
        assert!(matches!(other.enrolment(&[4; 32], &[5; 32], at(3)).await.unwrap(), Enrolment::Open(_)));
        one.delete_link(link.id).await.unwrap();
        other.replace_links(&texts(one.link_rows().await.unwrap())).await.unwrap();
        assert_eq!(other.link_with(&[3; 32]).await.unwrap(), None, "revoked there, too");
        other.replace_links(&["{}".to_owned()]).await.unwrap_err();
        assert_eq!(other.links().await.unwrap().len(), 1, "what makes no sense changes nothing");
    }

    async fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let password = Some("Cau-Long-Bien-1902".to_owned());
        let options = Options { admin_password: password, ..Options::new(dir.path()) };
        let store = Store::open(options, at(0)).await.unwrap().store;
        (dir, store)
    }

    #[tokio::test]
    async fn a_token_is_spent_by_one_key_within_its_time() {
        let (_dir, store) = store().await;
        let link = store.create_link("dak-lak", "Đắk Lắk", &[1; 32], at(100), at(0)).await.unwrap();
        let ask =
            async |token: u8, key: u8, now| store.enrolment(&[token; 32], &[key; 32], at(now)).await.unwrap();
        assert_eq!(ask(9, 2, 1).await, Enrolment::Refused, "unknown");
        assert_eq!(ask(1, 2, 100).await, Enrolment::Refused, "expired");
        assert_eq!(ask(1, 2, 1).await, Enrolment::Open(link.clone()));
        assert!(store.enrol(link.id, &[2; 32], &[3; 32], "PEM", at(2)).await.unwrap());
        assert!(!store.enrol(link.id, &[4; 32], &[5; 32], "other", at(2)).await.unwrap(), "spent");
        assert!(
            matches!(ask(1, 2, 3).await, Enrolment::Again(_, pem) if pem == "PEM"),
            "the answer was lost"
        );
        assert_eq!(ask(1, 4, 3).await, Enrolment::Refused, "another key");
    }

    #[tokio::test]
    async fn a_link_that_is_deleted_takes_its_certificate_with_it() {
        let (_dir, store) = store().await;
        let link = store.create_link("dak-lak", "Đắk Lắk", &[1; 32], at(100), at(0)).await.unwrap();
        assert!(matches!(
            store.create_link("dak-lak", "x", &[7; 32], at(100), at(0)).await,
            Err(Error::PathTaken(path)) if path == "dak-lak"
        ));
        assert!(store.enrol(link.id, &[2; 32], &[3; 32], "PEM", at(2)).await.unwrap());
        assert_eq!(store.link_with(&[3; 32]).await.unwrap().unwrap().path, "dak-lak");
        assert_eq!(store.links().await.unwrap().len(), 1);
        assert_eq!(store.delete_link(link.id).await.unwrap().path, "dak-lak");
        assert_eq!(store.link_with(&[3; 32]).await.unwrap(), None);
        assert!(matches!(store.delete_link(link.id).await, Err(Error::Missing("link"))));
        store.create_link("dak-lak", "Đắk Lắk", &[8; 32], at(100), at(3)).await.unwrap();
    }
}
