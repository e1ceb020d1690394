//! The report as JUnit XML, for the pages of build servers.

use quick_junit::{NonSuccessKind, Report as JunitReport, TestCase, TestCaseStatus, TestSuite};

use super::{CaseReport, Report};
use crate::verdict::Verdict;

/// The report as a document. Characters that XML cannot hold are left out.
///
/// # Errors
/// If the document cannot be written, which a string always can.
pub fn to_junit(report: &Report) -> Result<String, quick_junit::SerializeError> {
    let mut junit = JunitReport::new("tidewire-conformance");
    junit.set_time(report.duration);
    for (family, cases) in report.families() {
        let mut suite = TestSuite::new(family);
        suite.set_time(cases.iter().map(|case| case.duration).sum());
        for case in cases {
            suite.add_test_case(test_case(report, case));
        }
        junit.add_test_suite(suite);
    }
    junit.to_string()
}

fn test_case(report: &Report, case: &CaseReport) -> TestCase {
    let kind = case.verdict.name();
    let status = match case.verdict {
        Verdict::Pass | Verdict::NonStrict | Verdict::Observed => TestCaseStatus::success(),
        Verdict::NotClaimed | Verdict::NotRun | Verdict::Blocked => {
            let mut status = TestCaseStatus::skipped();
            status
                .set_type(kind)
                .set_message(case.reason.clone().unwrap_or_default());
            status
        }
        verdict => {
            let is_failure = verdict == Verdict::Fail;
            let kind_of = if is_failure {
                NonSuccessKind::Failure
            } else {
                NonSuccessKind::Error
            };
            let mut status = TestCaseStatus::non_success(kind_of);
            let message = case
                .failure
                .as_ref()
                .map(|failure| failure.class.text().to_owned())
                .or_else(|| case.reason.clone());
            status
                .set_type(kind)
                .set_message(message.unwrap_or_default());
            status.set_description(super::terminal::failure_lines(report, case).join("\n"));
            status
        }
    };
    let mut test = TestCase::new(case.id.clone(), status);
    test.set_classname(format!("tidewire.{}", case.family));
    test.set_time(case.duration);
    test
}
